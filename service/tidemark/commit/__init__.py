"""Group commit: the writes of many requests reach the database in one transaction. It knows no domain."""
