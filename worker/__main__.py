"""`python -m worker` is the `thoraq` command; processes start each other with it, even if the script is not on PATH."""

from worker.cli import main

main()
