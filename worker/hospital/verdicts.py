"""What the answer of an archive means for what was sent: sent, again, later for the whole destination, or refused.

Only codes of the standards are kept: the comments of an archive may quote a patient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

#: Tries before an export is given up, about a day with the pauses; and for a failure that archives use for anything.
MAX_ATTEMPTS, FEW_ATTEMPTS = 30, 5


class Verdict(StrEnum):
    """What becomes of an export."""

    SENT = "sent"  #: The archive has it.
    AGAIN = "again"  #: It is tried again after a pause that doubles.
    REST = "rest"  #: The destination is set up wrongly: it rests, and no export of it is charged.
    REFUSED = "refused"  #: It is not tried again unless a person asks.


@dataclass(frozen=True)
class Answer:
    """The verdict on an attempt, and the code behind it; None after a plain success."""

    verdict: Verdict
    code: str | None = None
    #: After how many attempts `AGAIN` becomes `REFUSED`.
    most_attempts: int = MAX_ATTEMPTS
    #: Whether the trouble is the destination's, so that its other exports wait, too.
    concerns_destination: bool = False


SENT: Final = Answer(Verdict.SENT)


def again(code: str) -> Answer:
    """Return the answer for trouble at the destination that may pass."""
    return Answer(Verdict.AGAIN, code, concerns_destination=True)


def rest(code: str) -> Answer:
    """Return the answer for a destination that must be set up differently."""
    return Answer(Verdict.REST, code, concerns_destination=True)


def refused(code: str) -> Answer:
    """Return the answer for an object that is not wanted."""
    return Answer(Verdict.REFUSED, code)


#: Statuses of C-STORE (PS3.4 B.2.3, PS3.7 annex C). A warning means that the object was stored.
SUCCESS, DUPLICATE, PROCESSING_FAILURE, RESOURCE_LIMITATION = 0x0000, 0x0111, 0x0110, 0x0213
WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)})
OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)


def of_status(status: int | None) -> Answer:
    """Return the verdict on the status of a C-STORE; None means that the association ended without an answer."""
    if status is None:
        return again("no_answer")
    code = f"{status:04X}"
    if status == SUCCESS:
        return SENT
    if status in WARNINGS or status == DUPLICATE:
        return Answer(Verdict.SENT, code)
    if status in OUT_OF_RESOURCES or status == RESOURCE_LIMITATION:
        return again(code)
    if status == PROCESSING_FAILURE:
        return Answer(Verdict.AGAIN, code, FEW_ATTEMPTS)
    return refused(code)


#: Results of A-ASSOCIATE-RJ (PS3.8 9.3.4).
REJECTED_PERMANENTLY: Final = 1


def of_rejection(result: int, source: int, reason: int) -> Answer:
    """Return the verdict on a rejected association."""
    code = f"rejected_{result}_{source}_{reason}"
    return rest(code) if result == REJECTED_PERMANENTLY else again(code)


#: HTTP answers that say that the destination is set up wrongly: credentials, path, redirect.
MISCONFIGURED: Final = frozenset({401, 403, 404, 405, 407})
#: Those that say that it is in trouble.
IN_TROUBLE: Final = frozenset({408, 425, 429})


def of_http(status: int, failures: Sequence[int | None] = ()) -> Answer:
    """Return the verdict on an answer of STOW-RS.

    Args:
        status: of HTTP.
        failures: the Failure Reason of each item of FailedSOPSequence; None where an item has none.
    """
    code = f"http_{status}"
    if failures and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        reason = failures[0]
        return refused(code) if reason is None else of_status(reason)
    if HTTPStatus(200) <= status < HTTPStatus.MULTIPLE_CHOICES:
        return SENT if status == HTTPStatus.OK else Answer(Verdict.SENT, code)
    if status in MISCONFIGURED or status < HTTPStatus.BAD_REQUEST:
        return rest(code)
    if status in IN_TROUBLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return again(code)
    return refused(code)
