"""`python -m worker`: the `thoraq` command without its script, so that processes can start each other."""

from worker.cli import main

main()
