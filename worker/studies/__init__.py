"""Studies and their images: tables, the ledger that changes their state, predictions, results and reviews.

Does not import a network or a decoder.
"""
