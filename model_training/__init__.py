"""Builds, trains and evaluates networks; stands on worker and is never imported by it."""
