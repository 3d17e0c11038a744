"""The whole product on one machine: embedded Redis, child processes, the demo's account.

Does not import scoring: it starts processes that do.
"""
