"""The HTTP server: a thread is used for a request that is complete, and for nothing else.

gunicorn starts and stops the processes; in each of them, waitress receives requests and sends answers.
"""
