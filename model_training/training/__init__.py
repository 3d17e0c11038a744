"""One training from its first batch to the saved file: batches, devices, checkpoints, the fit itself.

Does not import reports or retraining.
"""
