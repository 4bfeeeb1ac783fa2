"""`python -m harness.cli` is `spadit`."""

from harness.cli import main

main()
