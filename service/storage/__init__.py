"""The database: server, schema, connections, roll-ups."""
