"""The running service: the application, its two lanes, its processes."""
