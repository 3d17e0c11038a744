"""Imports every module that defines tables, so that migrations and tests see the whole schema."""

from dashboard.accounts import accounts, tokens
from worker import audit
from worker.hospital import export_records
from worker.hospital import records as hospital_records
from worker.models import records as model_records
from worker.monitoring import records as monitoring_records
from worker.scoring import records as scoring_records
from worker.studies import records as study_records
from worker.submissions import records as submission_records

__all__ = [
    "accounts",
    "audit",
    "export_records",
    "hospital_records",
    "model_records",
    "monitoring_records",
    "scoring_records",
    "study_records",
    "submission_records",
    "tokens",
]
