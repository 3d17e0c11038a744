"""What comes from outside: how large it may be, and which characters, JSON and files it may have.

Imports nothing of Thoraq.
"""
