"""Measures the server time of the pages with a small and a large table.

Fills a database with studies (10,000 a day, so that a larger table is a longer history), requests each page many times
through the application, and prints the 95th percentile in milliseconds. It drops the tables of the database.
Example: python benchmarks/pages.py --url postgresql+psycopg://postgres@127.0.0.1/benchmark
"""  # noqa: INP001 - a script, in no package

import argparse
import json
import os
import statistics
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus

import click
from flask.testing import FlaskClient
from sqlalchemy import text

import migrations.schema  # noqa: F401 - its tables are filled
from dashboard.accounts import accounts
from dashboard.accounts.accounts import Role
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.database import Base, engine, transaction
from worker.database.postgres import long_statements
from worker.models.directory import SHIPPED_FILMS, read_card, read_report
from worker.models.records import Activation, ModelVersion

FILMS_A_DAY = 10_000
SAMPLES = 60
CLASSES = ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")

#: Finding, source, version and whether a study is read are independent of each other.
POSTGRES = """
INSERT INTO submissions (id, source, request_id, content_sha256, priority, refused, extra, received_at)
SELECT lpad(to_hex(n), 32, '0'), 'pacs-' || n % 7, n::text, '', 1, '[]', '{{}}', {received}
FROM generate_series(1, {rows}) AS n;
INSERT INTO predictions (id, image_sha256, model_version_id, label, probability, probabilities, predicted_at)
SELECT n, lpad(to_hex(n), 64, '0'), 1 + n / 84 % 2, {label}, 0.3 + (n % 700) / 1000.0, {said}, {received}
FROM generate_series(1, {rows}) AS n;
INSERT INTO studies (id, submission_id, study_instance_uid, accession_number, patient_key, state, label, probability,
                     findings, finished_at, source, received_at, due_at, read_at, model_version_id)
SELECT n, lpad(to_hex(n), 32, '0'), '1.2.' || n, 'A' || n, 'p' || n % ({rows} / 3 + 1), 'scored', {label},
       0.3 + (n % 700) / 1000.0, {decided}, {received}, 'pacs-' || n % 7, {received},
       {received} + interval '24 hours' * (0.7 - (n % 700) / 1000.0),
       CASE WHEN n / 42 % 2 = 0 THEN {received} END, 1 + n / 84 % 2
FROM generate_series(1, {rows}) AS n;
INSERT INTO images (id, study_id, reference, root, path, sha256, priority, state, attempts, received_at, finished_at,
                    prediction_id)
SELECT n, n, 'film ' || n, 'archive', 'x', lpad(to_hex(n), 64, '0'), 1, 'scored', 1, {received}, {received}, n
FROM generate_series(1, {rows}) AS n;
UPDATE studies SET state = 'rejected', label = NULL WHERE id % 50 = 0;
UPDATE images SET state = 'rejected', prediction_id = NULL WHERE id % 50 = 0;
INSERT INTO rejections (image_id, reason, detail, attempts, rejected_at)
SELECT id, 'corrupt', 'the file ends early', 1, received_at FROM images WHERE id % 50 = 0
"""
#: The same in the functions of SQLite.
SQLITE = (
    ("generate_series(1, {rows}) AS n", "numbers"),
    ("lpad(to_hex(n), 32, '0')", "printf('%032x', n)"),
    ("lpad(to_hex(n), 64, '0')", "printf('%064x', n)"),
    ("n::text", "n"),
    ("{received} + interval '24 hours' * (0.7 - (n % 700) / 1000.0)", "{due}"),
)


def statements(rows: int, dialect: str) -> list[str]:
    """Return the SQL that fills the tables with `rows` studies."""
    text = POSTGRES
    label = "(ARRAY[{classes}])[1 + n % 6]"
    received = f"now() - interval '1 second' * ({rows} - n) * {86_400 / FILMS_A_DAY}"
    due = ""
    if dialect == "sqlite":
        for ours, theirs in SQLITE:
            text = text.replace(ours, theirs)
        label = f"CASE n % 6 {' '.join(f'WHEN {i} THEN {name!r}' for i, name in enumerate(CLASSES))} END"
        age = f"-(({rows} - n) * {86_400 / FILMS_A_DAY})"
        received = f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {age} || ' seconds')"
        due = f"strftime('%Y-%m-%d %H:%M:%f000', 'now', ({age} + 86400 * (0.7 - (n % 700) / 1000.0)) || ' seconds')"
    label = label.format(classes=", ".join(repr(name) for name in CLASSES))
    said, decided = (
        _json(dialect, label, each) for each in ("{probability}", '{{"probability": {probability}, "image_id": {n}}}')
    )
    return text.format(rows=rows, label=label, received=received, due=due, said=said, decided=decided).split(";")


def _json(dialect: str, label: str, each: str) -> str:
    """Return the SQL of an object with a probability for each class, of which the label's is the greatest."""
    members = []
    for name in CLASSES:
        probability = f"CASE WHEN {label} = '{name}' THEN 0.3 + (n % 700) / 1000.0 ELSE 0.01 END"
        value = each.format(probability=f"' || {probability} || '", n="' || n || '")
        members.append(f"'\"{name}\": {value}'")
    told = "'{' || " + " || ', ' || ".join(members) + " || '}'"
    return f"CAST({told} AS json)" if dialect == "postgresql" else told


def fill(rows: int) -> None:
    """Drop, create and fill the tables."""
    Base.metadata.drop_all(engine())
    Base.metadata.create_all(engine())
    card, report = read_card(SHIPPED_FILMS), read_report(SHIPPED_FILMS)
    with transaction() as session:
        for number in (1, 2):
            version = ModelVersion(id=number, version=f"v3-{number:012x}", sha256="0" * 64, card=card, report=report)
            session.add(version)
        session.flush()
        session.add(Activation(model_version_id=1, activated_by="benchmark"))
    with engine().begin() as connection, ExitStack() as long:
        dialect = connection.dialect.name
        if dialect == "sqlite":
            connection.execute(text("DROP TABLE IF EXISTS numbers"))
            counted = f"SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {rows}"  # noqa: S608 - an integer
            numbers = f"WITH RECURSIVE t(n) AS ({counted}) SELECT n FROM t"  # noqa: S608
            connection.execute(text(f"CREATE TEMP TABLE numbers AS {numbers}"))
        else:
            long.enter_context(long_statements(connection))
        for statement in statements(rows, dialect):
            # psycopg treats a single per cent sign as the start of a parameter.
            connection.exec_driver_sql(statement if dialect == "sqlite" else statement.replace("%", "%%"))
    with engine().execution_options(isolation_level="AUTOCOMMIT").connect() as connection, ExitStack() as long:
        if dialect != "sqlite":
            long.enter_context(long_statements(connection))
        connection.exec_driver_sql("ANALYZE" if dialect == "sqlite" else "VACUUM ANALYZE")


def measure(rows: int) -> dict[str, dict[str, float]]:
    """Return each page's server time in milliseconds: median, 95th percentile, and the median of its own CPU time."""
    accounts.add("reader", "benchmark password", Role.CLINICIAN, "test")
    app = create_app(DashboardSettings(mode="test", secure_cookies=False))
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    client.post("/login", data={"name": "reader", "password": "benchmark password"})
    pages = {
        "worklist": lambda _: "/studies",
        "worklist, poll": lambda _: "/studies/now",
        "worklist, by finding": lambda number: f"/studies?finding={CLASSES[number % 6]}",
        "worklist, by state": lambda _: "/studies?state=rejected",
        "worklist, by source and version": lambda number: f"/studies?source=pacs-{number % 7}&version=v3-000000000001",
        "worklist, by finding and source": lambda number: (
            f"/studies?finding={CLASSES[number % 6]}&source=pacs-{number % 7}"
        ),
        "worklist, by day": lambda _: f"/studies?since={_day(1)}&until={_day(1)}",
        "all, by filters that no study meets": lambda n: f"/studies?view=all&state=rejected&finding={CLASSES[n % 6]}",
        "all studies": lambda _: "/studies?view=all",
        "all studies, deep page": lambda number: f"/studies?view=all&after={rows // 2 + number}",
        "study": lambda number: f"/studies/{1 + (number * 7919) % rows}",
        "queue": lambda _: "/queue/",
        "rejected films": lambda _: "/queue/rejected",
    }
    figures = {}
    for name, path in pages.items():
        figures[name] = _times(client, [path(number) for number in range(SAMPLES)])
    return figures


def _day(days_ago: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days_ago)


def _times(client: FlaskClient, paths: list[str]) -> dict[str, float]:
    walls, cpus = [], []
    for path in paths[:5] + paths:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = client.get(path)
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
        if answer.status_code != HTTPStatus.OK:
            raise SystemExit(f"{path} returned {answer.status_code}")
    walls, cpus = walls[5:], cpus[5:]
    return {
        "median": round(statistics.median(walls), 1),
        "p95": round(statistics.quantiles(walls, n=20)[-1], 1),
        "median_cpu": round(statistics.median(cpus), 1),
    }


def main() -> None:
    """Fill the tables, measure the pages, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="a database for this benchmark; its tables are dropped")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    arguments = parser.parse_args()
    os.environ["THORAQ_DATABASE_URL"], os.environ["THORAQ_MODE"] = arguments.url, "test"
    figures = {}
    for rows in arguments.rows:
        began = time.monotonic()
        fill(rows)
        click.echo(f"filled with {rows} studies in {time.monotonic() - began:.0f} s", err=True)
        figures[rows] = measure(rows)
    click.echo(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
