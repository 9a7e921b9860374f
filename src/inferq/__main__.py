"""`python -m inferq` is the command `inferq`."""

from inferq.cli import main

main()
