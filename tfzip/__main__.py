"""`python -m tfzip`."""

from tfzip.cli import main

main()
