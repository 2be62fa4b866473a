"""The way out: windows, what answers them, and the rows."""
