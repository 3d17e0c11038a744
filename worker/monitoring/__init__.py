"""Monitors the deployment: heartbeats of its processes, consumers that are stuck, drift of films and results.

Does not import scoring or submissions.
"""
