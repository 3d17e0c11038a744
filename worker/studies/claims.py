"""What passes between the ledger and a scorer: claims on images, and then scored or rejected films."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.errors import Reason


@dataclass(frozen=True)
class Claim:
    """One image that its owner may score until the lease ends."""

    image_id: int
    #: The name of a configured root folder, and the path below it.
    root: str
    path: str
    #: The SHA-256 that the sender announced, if it announced one.
    sha256: str | None
    #: How often the image has been claimed, this claim included. From the second time on it is claimed alone.
    attempt: int = 1


@dataclass(frozen=True)
class Scored:
    """A film with the network's predictions."""

    image_id: int
    #: SHA-256 of the bytes that were read.
    sha256: str
    #: Finding -> probability in [0, 1].
    probabilities: Mapping[str, float]
    #: Grey values and size for drift monitoring, by their columns in `Image`; a column that is missing becomes null.
    summary: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A film that cannot be scored, and why."""

    image_id: int
    #: SHA-256 of the bytes that were read; None if none could be read.
    sha256: str | None
    reason: Reason
    #: One sentence for a person, without identifiers.
    detail: str
