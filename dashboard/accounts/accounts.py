"""The accounts of the dashboard, their roles and the hashes of their passwords. Does not use the request."""

import re
import secrets
import threading
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

#: The shortest password outside the demonstration. NIST SP 800-63B requires 8, or 15 without a second factor.
MIN_PASSWORD_CHARACTERS = 12
#: Longer passwords are refused before they are hashed.
MAX_PASSWORD_CHARACTERS = 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
#: argon2id with the parameters of OWASP's password storage cheat sheet: 19 MiB, 2 passes, 1 lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
#: Passwords that one process hashes at once; every thread with one of its own would take 150 MB.
_hashing = threading.BoundedSemaphore(2)


class Role(StrEnum):
    """What an account may do; every endpoint declares the roles that may use it."""

    VIEWER = "viewer"  #: Reads results, the queue and reports.
    CLINICIAN = "clinician"  #: Also uploads films and reviews studies.
    SCIENTIST = "scientist"  #: Also retrains models and promotes versions.
    ADMIN = "admin"  #: Also manages accounts and reads the audit log.
    UPSTREAM = "upstream"  #: Another system: uses the API, and no page.


class AccountError(ScoringError):
    """An account cannot be added or changed."""


class UnfitAccount(AccountError):
    """A name or a password is not allowed."""


class User(Base):
    """One account. Flask-Login requires `is_authenticated`, `is_anonymous`, `is_active` and `get_id`."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'clinician', 'scientist', 'admin', 'upstream')", name="ck_users_role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    active: Mapped[bool] = mapped_column(default=True)
    #: Part of the identity of every session: incrementing it ends all sessions of the account.
    session_epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        """Return whether the account is open."""
        return self.active

    def get_id(self) -> str:
        """Return the identity that a session stores: the row id, and the epoch in which the session began."""
        return f"{self.id}.{self.session_epoch}"


def add(name: str, password: str, role: Role, mode: Mode) -> None:
    """Add an account.

    Raises:
        AccountError: the name is taken.
        UnfitAccount: the name is not allowed, or the password is too short for `mode`.
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
    """Change the password of an account and end its sessions.

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
    """Change the role of an account and end its sessions.

    Raises:
        AccountError: there is no such account.
    """
    with transaction() as session:
        user = _existing(session, name)
        user.role = role
        user.session_epoch += 1


def set_active(name: str, *, active: bool) -> None:
    """Open or close an account, and end its sessions.

    Raises:
        AccountError: there is no such account.
    """
    with transaction() as session:
        user = _existing(session, name)
        user.active = active
        user.session_epoch += 1


def end_sessions(user_id: int) -> None:
    """End every session of an account, on every device."""
    with transaction() as session:
        user = session.get(User, user_id)
        if user is not None:
            user.session_epoch += 1


def find(name: str) -> User | None:
    """Return the account of this name."""
    with reading() as session:
        return session.scalar(select(User).where(User.name == name))


def find_by_session(identity: str) -> User | None:
    """Return the open account of a session; None if the account is closed or the session was ended."""
    user_id, _, epoch = identity.partition(".")
    if not (user_id.isdecimal() and epoch.isdecimal()):
        return None
    with reading() as session:
        user = session.get(User, int(user_id))
    return user if user and user.active and user.session_epoch == int(epoch) else None


def authenticate(name: str, password: str, mode: Mode) -> User | None:
    """Return the open account with this name and password; takes the same time for an unknown name."""
    user = find(name) if NAME.fullmatch(name) else None
    matches = _verify(user.password_hash if user else dummy_hash(), password[:MAX_PASSWORD_CHARACTERS])
    long_enough = min_password_characters(mode) <= len(password) <= MAX_PASSWORD_CHARACTERS
    return user if user and matches and user.active and long_enough else None


def min_password_characters(mode: Mode) -> int:
    """Return the minimum length of a password; the short one of the demonstration is not valid elsewhere."""
    return 1 if mode == "demo" else MIN_PASSWORD_CHARACTERS


@cache
def dummy_hash() -> str:
    """Return the hash of a random password, which is verified for unknown names."""
    return HASHER.hash(secrets.token_hex(32))


def _hash(password: str, mode: Mode) -> str:
    if not min_password_characters(mode) <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise UnfitAccount(f"a password has {min_password_characters(mode)} to {MAX_PASSWORD_CHARACTERS} characters")
    return HASHER.hash(password)


def _verify(digest: str, password: str) -> bool:
    try:
        with _hashing:
            return HASHER.verify(digest, password)
    except (VerificationError, InvalidHashError):
        return False


def _existing(session: Session, name: str) -> User:
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        raise AccountError(f"there is no account {name}")
    return user
