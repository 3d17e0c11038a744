"""Takes a film from its file to a network's input: archive, decoder processes, film check, previews.

Does not import a database, a queue, the settings or a network.
"""
