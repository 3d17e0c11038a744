"""The HTTP API for other systems: submissions, results, and their OpenAPI document.

Does not import pages.
"""
