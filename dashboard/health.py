"""Two public answers for load balancers and monitors: this process lives; and which of its dependencies do."""

from dataclasses import dataclass

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from kombu import Connection
from kombu.exceptions import OperationalError
from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard.access import public
from dashboard.backlog import SCORING_KIND, Life, life
from worker.database import Base, reading
from worker.records import Process
from worker.settings import settings

health = Blueprint("health", __name__, url_prefix="/health")

#: A monitor waits a few seconds at most; a broker that needs longer is no help anyway.
BROKER_TIMEOUT_SECONDS = 2


@dataclass(frozen=True)
class Dependency:
    """One thing that the product needs, and whether it is there."""

    ok: bool
    detail: str


@health.get("/live")
@public
def live() -> ResponseReturnValue:
    """Answer as long as this process answers at all."""
    return {"status": "alive"}


@health.get("/ready")
@public
def ready() -> ResponseReturnValue:
    """Tell dependency by dependency what is there; 503 when no study could be accepted."""
    found = {**_database(), "broker": _broker()}
    if not (found["database"].ok and found["schema"].ok):
        status, code = "unavailable", 503
    else:
        status, code = ("ready" if all(entry.ok for entry in found.values()) else "degraded"), 200
    return {"status": status, "dependencies": found}, code


def _database() -> dict[str, Dependency]:
    """Return whether the database answers, has our tables, and knows a living worker."""
    unknown = Dependency(ok=False, detail="unknown while the database is out")
    try:
        with reading() as session:
            session.execute(select(1))
            schema = _schema(session)
            worker = _worker(session) if schema.ok else Dependency(ok=False, detail="unknown without a schema")
    except SQLAlchemyError as error:
        current_app.logger.warning("not ready: %s", type(error).__name__)
        return {"database": Dependency(ok=False, detail="does not answer"), "schema": unknown, "worker": unknown}
    return {"database": Dependency(ok=True, detail="answers"), "schema": schema, "worker": worker}


def _schema(session: Session) -> Dependency:
    found = inspect(session.connection())
    present = set(found.get_table_names())
    for name, table in Base.metadata.tables.items():
        if name not in present or {column["name"] for column in found.get_columns(name)} < set(table.columns.keys()):
            return Dependency(ok=False, detail="not up to date: run `thoraq db upgrade`")
    return Dependency(ok=True, detail="up to date")


def _worker(session: Session) -> Dependency:
    up = sum(life(process) == Life.UP for process in session.scalars(select(Process).filter_by(kind=SCORING_KIND)))
    return Dependency(ok=bool(up), detail=f"{up} up" if up else "no scoring worker is up; what is accepted waits")


def _broker() -> Dependency:
    url = settings().broker_url
    if url is None:
        return Dependency(ok=False, detail="none is configured; the sweeper takes over")
    limits = {"socket_timeout": BROKER_TIMEOUT_SECONDS, "socket_connect_timeout": BROKER_TIMEOUT_SECONDS}
    try:
        with Connection(url.get_secret_value(), transport_options=limits) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_TIMEOUT_SECONDS)
            connection.default_channel  # noqa: B018 - a new channel asks the server
    except (OperationalError, OSError):
        return Dependency(ok=False, detail="does not answer; what is accepted waits for it")
    return Dependency(ok=True, detail="answers")
