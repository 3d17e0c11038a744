"""Imports every module of the worker that holds tables, for whoever needs the whole schema: migrations and tests."""

from worker import delivery_records, explanations, records, reviews, run_records, watch_records

__all__ = ["delivery_records", "explanations", "records", "reviews", "run_records", "watch_records"]
