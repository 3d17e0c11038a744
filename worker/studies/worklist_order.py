"""When a study is due to be read: the worklist's order, stored with the result so that an index can hold it.

    due = received + longest wait x (1 - severity)
    severity = max over the findings of weight x probability, in [0, 1]

The study that is due first comes first. The order of two studies does not change while they wait, and no study is
overtaken by one that arrives more than the longest wait after it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.settings import settings
from worker.studies.records import Priority

#: Severity of a study without any prediction: no film is scored yet, or all were rejected and a person must look.
UNKNOWN_SEVERITY = 0.5
#: How long an urgent study may wait, as a share of the time of a routine one with the same severity.
URGENT_SHARE = 0.25


def severity(probabilities: Mapping[str, float]) -> float:
    """Return the severity of a study's probabilities, in [0, 1]; `UNKNOWN_SEVERITY` if there are none."""
    if not probabilities:
        return UNKNOWN_SEVERITY
    weights, other = settings().finding_weights, settings().other_finding_weight
    return max(weights.get(finding, other) * probability for finding, probability in probabilities.items())


def due_at(received_at: datetime, priority: int, probabilities: Mapping[str, float]) -> datetime:
    """Return when a study is due to be read."""
    share = (1 - severity(probabilities)) * (URGENT_SHARE if priority == Priority.URGENT else 1)
    return received_at + timedelta(hours=settings().longest_wait_hours) * share
