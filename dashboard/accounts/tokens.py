"""API tokens of other systems: created by an administrator, shown once, stored as a hash. Does not use the request.

A token has 256 random bits, so that one SHA-256 protects it; only passwords that people choose need slow hashing.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, String, select, update
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from dashboard.accounts.accounts import AccountError, Role, User
from worker.database import Base, UtcDateTime, now, reading, transaction

PREFIX = "thq_"
RANDOM_BYTES = 32
#: `used_at` is at most this old: it is written once in this time, not with every request.
USED_AT_STEP = timedelta(minutes=5)


class Scope(StrEnum):
    """What a token allows; the password of an account allows everything."""

    SUBMIT = "submissions:write"
    RESULTS = "results:read"
    MODELS = "models:read"


class ApiToken(Base):
    """One token of the account of a system."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: What it is for, as the administrator wrote it.
    purpose: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    user: Mapped[User] = relationship()

    @property
    def open(self) -> bool:
        """Return whether the token is valid: neither revoked nor expired."""
        return self.revoked_at is None and self.expires_at > now()


def make(system: str, purpose: str, scopes: Iterable[Scope], days: int, by: str) -> str:
    """Create a token for the account of a system and return it; it cannot be read again.

    Raises:
        AccountError: there is no such account, or it is not a system's; or no scope was given.
    """
    distinct_scopes = sorted(set(scopes))
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    with transaction() as session:
        user = session.scalar(select(User).where(User.name == system, User.role == Role.UPSTREAM))
        if user is None:
            raise AccountError(f"there is no system {system}")
        if not distinct_scopes:
            raise AccountError("a token needs at least one scope")
        session.add(
            ApiToken(
                user_id=user.id,
                purpose=purpose[:64],
                sha256=_hash(token),
                scopes=distinct_scopes,
                made_by=by,
                expires_at=now() + timedelta(days=days),
            )
        )
    return token


def authenticate(token: str) -> tuple[User, frozenset[str]] | None:
    """Return the open account of a valid token, and the token's scopes."""
    with reading() as session:
        row = session.scalar(select(ApiToken).where(ApiToken.sha256 == _hash(token)).options(joinedload(ApiToken.user)))
    if row is None or not row.open or not row.user.active:
        return None
    if row.used_at is None or now() - row.used_at > USED_AT_STEP:
        with transaction() as session:
            session.execute(update(ApiToken).where(ApiToken.id == row.id).values(used_at=now()))
    return row.user, frozenset(row.scopes)


def revoke(token_id: int) -> None:
    """Revoke a token for good."""
    with transaction() as session:
        session.execute(
            update(ApiToken).where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None)).values(revoked_at=now())
        )


def all_tokens(session: Session) -> Sequence[ApiToken]:
    """Return all tokens, newest first."""
    return session.scalars(select(ApiToken).options(joinedload(ApiToken.user)).order_by(ApiToken.id.desc())).all()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
