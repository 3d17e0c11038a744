"""The Celery tasks of the worker and of the intake process.

Both modules only translate: they turn a message into a call, and an error into what Celery does next.
"""
