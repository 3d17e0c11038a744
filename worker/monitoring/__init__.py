"""Whether the deployment is well: heartbeats of its processes, stalled consumers, drift of scores.

Does not import scoring or submissions.
"""
