"""Health checks for load balancers and monitors: whether this process runs, and whether its dependencies do."""

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
from worker.errors import NotConfigured
from worker.monitoring import heartbeats
from worker.settings import settings
from worker.storage import disk

blueprint = Blueprint("health", __name__, url_prefix="/health")

#: Monitors wait a few seconds at most.
BROKER_TIMEOUT_SECONDS = 2


#: Without one of these, no study can be accepted.
NEEDED = ("database", "schema", "storage")


@dataclass(frozen=True)
class Dependency:
    """The status of one dependency, with an explanation."""

    status: Status
    detail: str

    @property
    def ok(self) -> bool:
        """Return whether the dependency is up."""
        return self.status == Status.UP


@blueprint.get("/live")
@public
def live() -> ResponseReturnValue:
    """Answer 200 as long as this process runs."""
    return {"status": "alive"}


@blueprint.get("/ready")
@public
def ready() -> ResponseReturnValue:
    """Return the status of each dependency; 503 if no study could be accepted."""
    dependencies = {**_database(), "storage": _storage(), "broker": _broker()}
    if not all(dependencies[name].ok for name in NEEDED):
        status, code = "unavailable", 503
    else:
        status, code = ("ready" if all(entry.ok for entry in dependencies.values()) else "degraded"), 200
    answer = {
        name: {"ok": entry.ok, "state": entry.status, "detail": entry.detail} for name, entry in dependencies.items()
    }
    return {"status": status, "dependencies": answer}, code


def _database() -> dict[str, Dependency]:
    """Return the status of the database and its schema, and that of the dependencies whose state it holds."""
    try:
        with reading() as session:
            session.execute(select(1))
            schema = _schema(session)
            others = _from_rows(session) if schema.ok else _unknown("unknown: the schema is not up to date")
    except SQLAlchemyError as error:
        current_app.logger.warning("not ready: %s", type(error).__name__)
        why = "unknown: the database does not answer"
        database = Dependency(Status.DOWN, "does not answer")
        return {"database": database, "schema": Dependency(Status.UNKNOWN, why), **_unknown(why)}
    except NotConfigured as error:
        current_app.logger.error("not ready: %s", error)  # noqa: TRY400 - the message says it all
        why = "unknown: this version of Thoraq cannot use the database"
        database = Dependency(Status.DOWN, str(error))
        return {"database": database, "schema": Dependency(Status.UNKNOWN, why), **_unknown(why)}
    return {"database": Dependency(Status.UP, "answers"), "schema": schema, **others}


def _unknown(detail: str) -> dict[str, Dependency]:
    return {name: Dependency(Status.UNKNOWN, detail) for name in ("worker", "sweeper", "queue")}


def _from_rows(session: Session) -> dict[str, Dependency]:
    return {"worker": _worker(session), "sweeper": _sweeper(session), "queue": _queue(session)}


def _schema(session: Session) -> Dependency:
    inspector = inspect(session.connection())
    present = set(inspector.get_table_names())
    for name, table in Base.metadata.tables.items():
        if name not in present or {column["name"] for column in inspector.get_columns(name)} < set(
            table.columns.keys()
        ):
            return Dependency(Status.DOWN, "not up to date: run `thoraq db upgrade`")
    return Dependency(Status.UP, "up to date")


def _worker(session: Session) -> Dependency:
    workers = process_status.workers(session)
    stalled = f", {workers.stalled} finishing nothing though films wait" if workers.stalled else ""
    silent = f", {workers.unknown} silent" if workers.unknown else ""
    none = "no scoring worker is up; accepted films wait"
    return Dependency(workers.status, (f"{workers.up} up" if workers.up else none) + stalled + silent)


def _sweeper(session: Session) -> Dependency:
    age = process_status.sweep_age_seconds(session)
    if age is None:
        return Dependency(Status.UNKNOWN, "there was no sweep yet; are `thoraq beat` and `thoraq intake` running?")
    if heartbeats.sweeping(session):
        return Dependency(Status.UP, f"swept {duration(age)} ago")
    return Dependency(Status.DOWN, f"the last sweep was {duration(age)} ago; lost wake-ups are not sent again")


def _queue(session: Session) -> Dependency:
    age = oldest_waiting_seconds(session)
    if age > ALARM_SECONDS:
        return Dependency(Status.DOWN, f"the oldest film has waited for {duration(age)}")
    return Dependency(Status.UP, f"the oldest film has waited for {duration(age)}" if age else "nothing waits")


def _storage() -> Dependency:
    """Return whether the archive takes films; a database in the data directory depends on the same disk."""
    if (problem := disk.problem(settings().archive_dir, settings().min_free_bytes)) is None:
        return Dependency(Status.UP, "takes files")
    current_app.logger.warning("not ready: the archive takes no film: %s", problem)
    return Dependency(Status.DOWN, problem)


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
        return Dependency(Status.DOWN, "does not answer; accepted films wait for it")
    return Dependency(Status.UP, "answers")
