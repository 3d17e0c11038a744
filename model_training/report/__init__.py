"""The evaluation report: assembled, and shown as text, as a page and as figures.

Does not import training or retraining.
"""
