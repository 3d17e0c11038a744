"""Two public answers for load balancers and monitors: this process lives; and which of its dependencies do."""

from dataclasses import dataclass

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from kombu import Connection
from kombu.exceptions import OperationalError
from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard.accounts.access import public
from dashboard.formatting import duration
from dashboard.operations import process_status
from dashboard.operations.backlog import ALARM_SECONDS, oldest_waiting_seconds
from dashboard.operations.process_status import Status
from worker.database import Base, reading
from worker.monitoring import heartbeats
from worker.settings import settings

blueprint = Blueprint("health", __name__, url_prefix="/health")

#: A monitor waits a few seconds at most; a broker that needs longer is no help anyway.
BROKER_TIMEOUT_SECONDS = 2


@dataclass(frozen=True)
class Dependency:
    """One thing that the product needs, whether it is there, and in words for whoever reads it."""

    status: Status
    detail: str

    @property
    def ok(self) -> bool:
        """Tell whether nobody need look at it."""
        return self.status == Status.UP


@blueprint.get("/live")
@public
def live() -> ResponseReturnValue:
    """Answer as long as this process answers at all."""
    return {"status": "alive"}


@blueprint.get("/ready")
@public
def ready() -> ResponseReturnValue:
    """Tell dependency by dependency what is there; 503 when no study could be accepted."""
    found = {**_database(), "broker": _broker()}
    if not (found["database"].ok and found["schema"].ok):
        status, code = "unavailable", 503
    else:
        status, code = ("ready" if all(entry.ok for entry in found.values()) else "degraded"), 200
    lines = {name: {"ok": entry.ok, "state": entry.status, "detail": entry.detail} for name, entry in found.items()}
    return {"status": status, "dependencies": lines}, code


def _database() -> dict[str, Dependency]:
    """Return whether the database answers, has our tables, and what they tell of the others."""
    try:
        with reading() as session:
            session.execute(select(1))
            schema = _schema(session)
            told = _told_by_rows(session) if schema.ok else _unknown("unknown without a schema")
    except SQLAlchemyError as error:
        current_app.logger.warning("not ready: %s", type(error).__name__)
        silent = "unknown while the database is out"
        out = Dependency(Status.DOWN, "does not answer")
        return {"database": out, "schema": Dependency(Status.UNKNOWN, silent), **_unknown(silent)}
    return {"database": Dependency(Status.UP, "answers"), "schema": schema, **told}


def _unknown(detail: str) -> dict[str, Dependency]:
    return {name: Dependency(Status.UNKNOWN, detail) for name in ("worker", "sweeper", "queue")}


def _told_by_rows(session: Session) -> dict[str, Dependency]:
    return {"worker": _worker(session), "sweeper": _sweeper(session), "queue": _queue(session)}


def _schema(session: Session) -> Dependency:
    found = inspect(session.connection())
    present = set(found.get_table_names())
    for name, table in Base.metadata.tables.items():
        if name not in present or {column["name"] for column in found.get_columns(name)} < set(table.columns.keys()):
            return Dependency(Status.DOWN, "not up to date: run `thoraq db upgrade`")
    return Dependency(Status.UP, "up to date")


def _worker(session: Session) -> Dependency:
    found = process_status.workers(session)
    stalled = f", {found.stalled} finishing nothing though films wait" if found.stalled else ""
    silent = f", {found.unknown} silent" if found.unknown else ""
    none = "no scoring worker is up; what is accepted waits"
    return Dependency(found.status, (f"{found.up} up" if found.up else none) + stalled + silent)


def _sweeper(session: Session) -> Dependency:
    age = process_status.sweep_age_seconds(session)
    if age is None:
        return Dependency(Status.UNKNOWN, "no sweep was ever done; are `thoraq beat` and `thoraq intake` running?")
    if heartbeats.sweeping(session):
        return Dependency(Status.UP, f"swept {duration(age)} ago")
    return Dependency(Status.DOWN, f"the last sweep was {duration(age)} ago; lost wake-ups are not sent again")


def _queue(session: Session) -> Dependency:
    age = oldest_waiting_seconds(session)
    if age > ALARM_SECONDS:
        return Dependency(Status.DOWN, f"the oldest film has waited for {duration(age)}")
    return Dependency(Status.UP, f"the oldest film has waited for {duration(age)}" if age else "nothing waits")


def _broker() -> Dependency:
    url = settings().broker_url
    if url is None:
        return Dependency(Status.DOWN, "none is configured; the sweeper takes over")
    limits = {"socket_timeout": BROKER_TIMEOUT_SECONDS, "socket_connect_timeout": BROKER_TIMEOUT_SECONDS}
    try:
        with Connection(url.get_secret_value(), transport_options=limits) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_SECONDS)
            connection.default_channel  # noqa: B018 - a new channel asks the server
    except (OperationalError, OSError):
        return Dependency(Status.DOWN, "does not answer; what is accepted waits for it")
    return Dependency(Status.UP, "answers")
