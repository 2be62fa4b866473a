"""`python -m service` is the command `tidemark`."""

from service.cli import main

main()
