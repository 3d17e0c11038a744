"""Imports every module of the worker that holds tables, for whoever needs the whole schema: migrations and tests."""

from worker import audit
from worker.models import records as model_records
from worker.monitoring import heartbeats
from worker.monitoring import records as monitoring_records
from worker.scoring import heat_map_requests
from worker.studies import records, reviews
from worker.submissions import records as submission_records

__all__ = [
    "audit",
    "heartbeats",
    "heat_map_requests",
    "model_records",
    "monitoring_records",
    "records",
    "reviews",
    "submission_records",
]
