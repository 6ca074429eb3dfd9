"""`python -m runsync`."""

from runsync.cli import main

main()
