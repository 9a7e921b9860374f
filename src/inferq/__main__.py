"""`python -m inferq` is the command `inferq`."""

from inferq.cli.app import main

main()
