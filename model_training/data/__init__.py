"""Data sets: what lies in a folder, which split a film belongs to, and films decoded once.

Does not import networks or reports.
"""
