"""The log: what has committed and waits to be settled, in runs of sorted readings."""
