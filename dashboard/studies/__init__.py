"""The pages of studies: worklist, one study, pictures, reviews, uploads and exports.

Does not import the pages of models or operations.
"""
