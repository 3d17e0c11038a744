"""The documents that are stored as JSON: card, report, the gate's verdict, a retraining run's training set.

Each is a frozen pydantic model. Does not import the tables.
"""
