"""Tokens by which systems use the HTTP door: made by an administrator, shown once, stored as a hash. Knows no request.

A token is 256 random bits, so that one SHA-256 protects it; slow hashing is for what people choose.
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
#: How stale `used_at` may be: one write in this time, not one a request.
USED_AT_STEP = timedelta(minutes=5)


class Scope(StrEnum):
    """What a token opens; an account's password opens all of it."""

    SUBMIT = "submissions:write"
    RESULTS = "results:read"
    MODELS = "models:read"


class ApiToken(Base):
    """One token of one system's account."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: What it is for, in an administrator's words.
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
        """Tell whether it still opens the door."""
        return self.revoked_at is None and self.expires_at > now()


def make(system: str, purpose: str, scopes: Iterable[Scope], days: int, by: str) -> str:
    """Make a token for the account of a system and return it: nobody can read it again.

    Raises:
        AccountError: there is no such account, or it is a person's; or the token would open nothing.
    """
    wanted = sorted(set(scopes))
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    with transaction() as session:
        user = session.scalar(select(User).where(User.name == system, User.role == Role.UPSTREAM))
        if user is None:
            raise AccountError(f"there is no system's account {system}")
        if not wanted:
            raise AccountError("a token needs at least one scope")
        session.add(
            ApiToken(
                user_id=user.id,
                purpose=purpose[:64],
                sha256=_hash(token),
                scopes=wanted,
                made_by=by,
                expires_at=now() + timedelta(days=days),
            )
        )
    return token


def authenticate(token: str) -> tuple[User, frozenset[str]] | None:
    """Return the open account behind an open token, and its scopes."""
    with reading() as session:
        found = session.scalar(
            select(ApiToken).where(ApiToken.sha256 == _hash(token)).options(joinedload(ApiToken.user))
        )
    if found is None or not found.open or not found.user.active:
        return None
    if found.used_at is None or now() - found.used_at > USED_AT_STEP:
        with transaction() as session:
            session.execute(update(ApiToken).where(ApiToken.id == found.id).values(used_at=now()))
    return found.user, frozenset(found.scopes)


def revoke(token_id: int) -> None:
    """Close a token for good."""
    with transaction() as session:
        session.execute(
            update(ApiToken).where(ApiToken.id == token_id, ApiToken.revoked_at.is_(None)).values(revoked_at=now())
        )


def all_tokens(session: Session) -> Sequence[ApiToken]:
    """Return all tokens, newest first."""
    return session.scalars(select(ApiToken).options(joinedload(ApiToken.user)).order_by(ApiToken.id.desc())).all()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
