"""`python -m service` is the command `tidemark`."""

from tidemark.cli import main

main()
