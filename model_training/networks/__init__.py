"""The networks that can be trained: layers, hyperparameters, augmentation, ImageNet's weights.

Does not import data sets or reports.
"""
