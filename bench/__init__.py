"""The benchmark harness, which reproduces every performance claim that Tidemark makes."""
