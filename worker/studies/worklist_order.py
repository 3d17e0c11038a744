"""When a study is due to be read: the key of the worklist's order, written with the result so that an index holds it.

    due = received + longest wait x (1 - severity)
    severity = max over the findings of weight x probability, in [0, 1]

Earliest due first. All wait at the same pace, so the order between two studies never changes while they wait, and
nothing that comes later than the longest wait can overtake: nothing is buried.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.settings import settings

#: Of what no film has told yet, and of rejected films: a person must look at those with their own eyes.
UNKNOWN_SEVERITY = 0.5
#: Urgent submissions wait this share of what a routine one would.
URGENT_SHARE = 0.25
#: `Priority.URGENT`; the tables stand above this module.
URGENT = 0


def severity(probabilities: Mapping[str, float]) -> float:
    """Return the severity of a study's probabilities, in [0, 1]; of none that of the unknown."""
    if not probabilities:
        return UNKNOWN_SEVERITY
    weights, other = settings().finding_weights, settings().other_finding_weight
    return max(weights.get(finding, other) * probability for finding, probability in probabilities.items())


def due_at(received_at: datetime, priority: int, probabilities: Mapping[str, float]) -> datetime:
    """Return when a study is due to be read."""
    share = (1 - severity(probabilities)) * (URGENT_SHARE if priority == URGENT else 1)
    return received_at + timedelta(hours=settings().longest_wait_hours) * share
