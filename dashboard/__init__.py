"""The web pages and the HTTP door; stands on worker and never loads a network."""
