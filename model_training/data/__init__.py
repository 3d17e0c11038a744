"""Data sets: their files, the split of each film, and a cache of decoded films.

Does not import networks or reports.
"""
