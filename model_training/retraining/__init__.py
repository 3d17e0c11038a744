"""Retraining runs: the training set, the run itself, and the gate that judges its candidate.

The only part of the package that writes to the database.
"""
