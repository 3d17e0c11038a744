"""A film from where it lies to what a network is shown: archive, decoder processes, film check, previews.

Does not import a database, a queue, the settings or a network.
"""
