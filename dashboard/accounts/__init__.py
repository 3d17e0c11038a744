"""Accounts, roles, sessions, log-in and API tokens.

Does not import the pages of studies or models.
"""
