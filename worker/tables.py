"""Imports every module of the worker that holds tables, for whoever needs the whole schema: migrations and tests."""

from worker import audit
from worker.models import records as version_records
from worker.monitoring import heartbeats
from worker.monitoring import records as watch_records
from worker.scoring import heat_map_requests
from worker.studies import records, reviews
from worker.submissions import records as delivery_records

__all__ = [
    "audit",
    "delivery_records",
    "heartbeats",
    "heat_map_requests",
    "records",
    "reviews",
    "version_records",
    "watch_records",
]
