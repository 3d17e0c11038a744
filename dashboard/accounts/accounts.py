"""Who may use the dashboard: the accounts, their roles and their passwords' hashes. Knows no request."""

import re
import secrets
from datetime import datetime
from enum import StrEnum
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import CheckConstraint, String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.database import Base, UtcDateTime, now, reading, transaction
from worker.errors import ScoringError
from worker.settings import Mode

#: The shortest password that opens an account outside the demonstration (NIST SP 800-63B asks for 8, 15 alone).
MIN_PASSWORD_CHARACTERS = 12
#: Longer input is refused before it is hashed.
MAX_PASSWORD_CHARACTERS = 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
#: argon2id with the memory and time that OWASP's password storage cheat sheet names: 19 MiB, 2 passes, 1 lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class Role(StrEnum):
    """What an account may do; every page and every door names the roles that may use it."""

    VIEWER = "viewer"  #: Reads results, queues and reports.
    CLINICIAN = "clinician"  #: Also hands films over.
    SCIENTIST = "scientist"  #: Also asks for retraining.
    ADMIN = "admin"  #: Everything.
    UPSTREAM = "upstream"  #: A system: uses the HTTP door and no page.


class AccountError(ScoringError):
    """An account cannot be made or changed as asked."""


class UnfitAccount(AccountError):
    """A name or a password is not one that an account may have."""


class User(Base):
    """One account. The four `is_*` and `get_id` members are what Flask-Login asks of it."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'clinician', 'scientist', 'admin', 'upstream')", name="ck_users_role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    active: Mapped[bool] = mapped_column(default=True)
    #: Part of every session's identity: counting up ends all sessions of the account.
    session_epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        """Tell whether the account is open."""
        return self.active

    def get_id(self) -> str:
        """Return what a session remembers: the row and the epoch in which the session began."""
        return f"{self.id}.{self.session_epoch}"


def add(name: str, password: str, role: Role, mode: Mode) -> None:
    """Make an account.

    Raises:
        AccountError: the name is taken.
        UnfitAccount: the name is none, or the password is too short for `mode`.
    """
    if not NAME.fullmatch(name):
        raise UnfitAccount("a name is 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit")
    digest = _hash(password, mode)
    try:
        with transaction() as session:
            session.add(User(name=name, password_hash=digest, role=role))
    except IntegrityError:
        raise AccountError(f"there is already an account {name}") from None


def change_password(name: str, password: str, mode: Mode) -> None:
    """Give an account another password and end its sessions.

    Raises:
        AccountError: there is no such account.
        UnfitAccount: the password is too short for `mode`.
    """
    digest = _hash(password, mode)
    with transaction() as session:
        user = _existing(session, name)
        user.password_hash = digest
        user.session_epoch += 1


def change_role(name: str, role: Role) -> None:
    """Give an account another role and end its sessions.

    Raises:
        AccountError: there is no such account.
    """
    with transaction() as session:
        user = _existing(session, name)
        user.role = role
        user.session_epoch += 1


def set_active(name: str, *, active: bool) -> None:
    """Open an account, or close it and end its sessions.

    Raises:
        AccountError: there is no such account.
    """
    with transaction() as session:
        user = _existing(session, name)
        user.active = active
        user.session_epoch += 1


def end_sessions(user_id: int) -> None:
    """End every session of an account, wherever its cookies are."""
    with transaction() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.session_epoch += 1


def find(name: str) -> User | None:
    """Return the account of this name."""
    with reading() as session:
        return session.scalar(select(User).where(User.name == name))


def find_by_session(identity: str) -> User | None:
    """Return the open account behind a session's identity; None when the account or the epoch has gone on."""
    user_id, _, epoch = identity.partition(".")
    if not (user_id.isdecimal() and epoch.isdecimal()):
        return None
    with reading() as session:
        user = session.get(User, int(user_id))
    return user if user and user.active and user.session_epoch == int(epoch) else None


def authenticate(name: str, password: str, mode: Mode) -> User | None:
    """Return the account that name and password open, after the same work whether or not the name is known."""
    user = find(name) if NAME.fullmatch(name) else None
    fits = _verify(user.password_hash if user else dummy_hash(), password[:MAX_PASSWORD_CHARACTERS])
    long_enough = shortest_password(mode) <= len(password) <= MAX_PASSWORD_CHARACTERS
    return user if user and fits and user.active and long_enough else None


def shortest_password(mode: Mode) -> int:
    """Return how many characters a password needs; the account of the demonstration opens nothing elsewhere."""
    return 1 if mode == "demo" else MIN_PASSWORD_CHARACTERS


@cache
def dummy_hash() -> str:
    """Return the hash of a password that nobody knows, to be verified for names that nobody has."""
    return HASHER.hash(secrets.token_hex(32))


def _hash(password: str, mode: Mode) -> str:
    if not shortest_password(mode) <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise UnfitAccount(f"a password has {shortest_password(mode)} to {MAX_PASSWORD_CHARACTERS} characters")
    return HASHER.hash(password)


def _verify(digest: str, password: str) -> bool:
    try:
        return HASHER.verify(digest, password)
    except (VerificationError, InvalidHashError):
        return False


def _existing(session: Session, name: str) -> User:
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        raise AccountError(f"there is no account {name}")
    return user
