"""Reads what stands in Redis before Celery does, so that no message can end a process or lose another message.

Writes nothing to the database: what is set aside travels to the intake process as a message.
"""
