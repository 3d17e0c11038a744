"""Builds, trains and evaluates networks. Imports `worker`, which does not import this package."""
