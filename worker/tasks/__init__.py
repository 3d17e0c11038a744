"""The Celery tasks of the worker and of the intake process.

Both modules only translate: a message becomes a call, and an error becomes what Celery does next.

`intake` does not import a decoder or a network.
"""
