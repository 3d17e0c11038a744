"""Retraining runs: the training set, the run, and the gate that judges its candidate.

The only folder of this package that writes to the database.
"""
