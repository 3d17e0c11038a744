"""Scoring as plain code: claim, decode, predict, record; heat maps and full pictures on request.

Does not import Celery tasks or commands.
"""
