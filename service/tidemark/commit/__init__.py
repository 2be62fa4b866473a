"""Group commit: what many requests bring goes to the database together. It knows no domain."""
