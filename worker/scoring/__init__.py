"""Scores films as plain code: claim, decode, predict, record; draws heat maps and full-size pictures on request.

Does not import Celery tasks or commands.
"""
