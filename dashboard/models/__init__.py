"""The pages of model versions: reports, promotion, retraining and drift.

Does not import the pages of studies.
"""
