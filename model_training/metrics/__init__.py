"""The figures of an evaluation, each with its formula's source: confusion matrix, ROC, calibration, intervals.

Takes arrays and returns values; does not import networks or a database.
"""
