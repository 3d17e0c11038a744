"""Scoring as plain code: claim, decode, predict, record; heat maps and full-size pictures on request.

Does not import Celery tasks or commands.
"""
