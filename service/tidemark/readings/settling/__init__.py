"""The settler, which moves readings from the log to the store: the one session that changes the store."""
