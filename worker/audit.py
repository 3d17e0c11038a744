"""The audit log: who did or saw what, when and from where. Rows are added, never changed, and chained by hash.

The hash of each row covers its content and the hash of the row before it, so that a row that was changed, removed or
inserted shows. The database itself refuses UPDATE and DELETE. No row holds an identifier of a patient, or a sender's
identifier of a study.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DDL, String, event, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.database import Base, UtcDateTime, now

#: Stands for the hash before the first row.
NOTHING_BEFORE = "0" * 64
#: Advisory lock taken while a row is added, so that two new rows do not follow the same row.
POSTGRES_LOCK = 0x7468_6F72_6171
PAGE = 1000


class AuditEntry(Base):
    """One event (the fields of DICOM PS3.15 A.5: who, when, what, on what, from where, with which outcome)."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    #: The account's name; null at a failed log-in, whose input is not stored.
    who: Mapped[str | None] = mapped_column(String(64), index=True)
    #: The network address of the request.
    where: Mapped[str | None] = mapped_column("address", String(64))
    action: Mapped[str] = mapped_column(String(64))
    #: Row ids and version names only.
    target: Mapped[str] = mapped_column(String(256))
    #: `allowed` or `refused`; for a log-in `opened` or `failed`.
    outcome: Mapped[str] = mapped_column(String(16))
    previous_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))


#: Statements that make the table append-only, for each database, in the order in which they are executed.
APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'append only'); END",
        "CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'append only'); END",
    ),
    "postgresql": (
        """CREATE OR REPLACE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'append only'; END $$""",
        """CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only()""",
    ),
}
for _dialect, _statements in APPEND_ONLY.items():
    for _statement in _statements:
        event.listen(AuditEntry.__table__, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Event:
    """What an entry is to say; the fields are those of `AuditEntry`."""

    who: str | None
    where: str | None
    action: str
    target: str = ""
    outcome: str = "allowed"


def append(session: Session, what: Event) -> AuditEntry:
    """Add one entry in the caller's transaction; if it cannot be added, the transaction fails."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(POSTGRES_LOCK)))
    before = session.scalar(select(AuditEntry.sha256).order_by(AuditEntry.id.desc()).limit(1)) or NOTHING_BEFORE
    entry = AuditEntry(
        at=now(),
        who=what.who,
        where=what.where,
        action=what.action,
        target=what.target[:256],
        outcome=what.outcome,
        previous_sha256=before,
    )
    entry.sha256 = digest(entry)
    session.add(entry)
    session.flush()
    return entry


def digest(entry: AuditEntry) -> str:
    """Return the SHA-256 of an entry's content and of the hash before it."""
    content = [
        entry.at.isoformat(),
        entry.who,
        entry.where,
        entry.action,
        entry.target,
        entry.outcome,
        entry.previous_sha256,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def newest(session: Session, *, before: int | None = None, limit: int = 100) -> Sequence[AuditEntry]:
    """Return at most `limit` entries with an id below `before`, newest first."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(AuditEntry.id < before)).all()


def first_broken(session: Session) -> int | None:
    """Return the id of the first row that does not follow from the row before it; None if the chain is whole.

    Rows removed at the end do not break the chain: to detect that, store the last hash elsewhere.
    """
    before, last = NOTHING_BEFORE, 0
    while rows := session.scalars(
        select(AuditEntry).where(AuditEntry.id > last).order_by(AuditEntry.id).limit(PAGE)
    ).all():
        for row in rows:
            if row.previous_sha256 != before or digest(row) != row.sha256:
                return row.id
            before, last = row.sha256, row.id
        session.expunge_all()
    return None
