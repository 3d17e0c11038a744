"""How studies come in and how their senders are told the outcome: envelope, intake, callbacks.

Does not import scoring or a network.
"""
