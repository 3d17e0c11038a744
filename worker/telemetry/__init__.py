"""What an operator sees of a process: the form of its log, and its metrics. Imports no database."""
