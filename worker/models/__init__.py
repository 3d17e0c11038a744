"""Model versions: their files and rows, which version is active, and the loaded network.

Does not import studies or scoring.
"""
