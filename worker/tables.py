"""Imports every module of the worker that holds tables, for whoever needs the whole schema: migrations and tests."""

from worker import (
    audit,
    delivery_records,
    explanations,
    presence,
    records,
    reviews,
    run_records,
    version_records,
    watch_records,
)

__all__ = [
    "audit",
    "delivery_records",
    "explanations",
    "presence",
    "records",
    "reviews",
    "run_records",
    "version_records",
    "watch_records",
]
