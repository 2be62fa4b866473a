"""The benchmark harness: every claim of speed that Tidemark makes, as something that anyone can run."""
