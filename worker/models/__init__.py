"""Model versions: their files, their rows, which one is active, and the loaded network.

Does not import studies or scoring.
"""
