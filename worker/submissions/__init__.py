"""Accepts studies and notifies their senders of the outcomes: envelope, intake, callbacks.

Does not import scoring or a network.
"""
