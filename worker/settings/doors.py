"""Doors: the called AE titles under which films may arrive, and from whom. Read from `THORAQ_DOORS`."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, StringConstraints

from worker.inputs import printable

#: An AE title: up to 16 characters of ASCII without controls and backslash, none of them a blank at an end (PS3.5 6.2).
AeTitle = Annotated[str, StringConstraints(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=printable.PATTERN)]

#: A part is closed after this silence unless its door says otherwise.
SILENCE_SECONDS = {"urgent": 5.0, "routine": 20.0, "offpeak": 20.0}


class Door(BaseModel):
    """Who may send to a called AE title, and what becomes of it. Whoever is not named here is rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    #: The sender as it stands in the ledger; a study that comes through two doors with two sources is two studies.
    source: Name
    priority: Literal["urgent", "routine", "offpeak"] = "routine"
    #: Calling AE title -> addresses or networks from which it may call; an empty list means any.
    callers: dict[AeTitle, list[IPvAnyNetwork]] = Field(min_length=1)
    #: Who issues the PatientIDs; if it is not set, the film says so.
    issuer: Name | None = None
    #: The names of the destinations to which results are owed.
    results: list[Name] = Field(default_factory=list)
    #: Objects that are no films: `keep` answers success and counts them, `refuse` does not negotiate them.
    others: Literal["keep", "refuse"] = "keep"
    #: For how long nothing may arrive before a part is closed; None means 20 s, and 5 s for an urgent door.
    silence_seconds: float | None = Field(default=None, gt=0)

    @property
    def silence(self) -> float:
        """The silence in seconds."""
        return self.silence_seconds or SILENCE_SECONDS[self.priority]

    @property
    def lets_anybody_in(self) -> bool:
        """Whether a caller needs to know nothing but an AE title, which is no secret."""
        return not all(self.callers.values())

    def admits(self, calling: str, address: str) -> bool:
        """Return whether this AE title may call from this address."""
        networks = self.callers.get(calling)
        if networks is None:
            return False
        host = ip_address(address)
        if isinstance(host, IPv6Address) and host.ipv4_mapped:  # How a port for both families names an IPv4 caller.
            host = host.ipv4_mapped
        return not networks or any(host in network for network in networks)


Doors = Mapping[str, Door]
