"""The database: connections, named statements, engines, migrations, announcements."""
