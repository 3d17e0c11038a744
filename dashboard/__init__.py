"""The web pages and the HTTP API. Imports `worker`, but no network and no decoder."""
