"""The way in: wire formats to readings, readings to committed batches."""
