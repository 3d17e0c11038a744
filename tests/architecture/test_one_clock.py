"""Moments that are stored or compared come from one clock, the database's: `worker.database.now` or `clock`."""

import ast
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
#: Calls that read the clock of this host, by their last two names.
HOST_CLOCK = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
#: (file, call): why this one may.
ALLOWED = {
    ("worker/database/__init__.py", "datetime.now"): "SQLite's clock is that of its host",
    ("worker/models/directory.py", "time.time"): "compared with the times of files",
    ("model_training/training/checkpoint.py", "time.time"): "compared with the times of files",
    ("model_training/candidate.py", "datetime.now"): "a training without a database",
    ("worker/broker/transport.py", "datetime.now"): "a message expires by the clock of its sender; the broker has none",
    ("worker/hospital/reception.py", "datetime.now"): "the database may be out when a film arrives",
    ("dashboard/accounts/login_failures.py", "time.time"): "the library counts by it",
}
#: Values of a lease, a pause or a heartbeat are computed inside the statement that writes or compares them.
MEASURED = {"lease_until", "not_before", "next_at", "seen_at", "heartbeat_at"}


def sources():
    for package in ("worker", "dashboard", "model_training"):
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            yield path.relative_to(CHECKOUT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.AST):
    """Return the called names of a tree, such as `datetime.now`; only the last two parts of longer ones."""
    found = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {".".join(ast.unparse(function).split(".")[-2:]) for function in found}


def test_only_the_named_places_read_the_clock_of_the_host():
    """A host may be minutes off."""
    found = {(name, call) for name, tree in sources() for call in calls(tree) & HOST_CLOCK}

    assert set(ALLOWED) == found


def written(node: ast.AST) -> ast.AST | None:
    """Return the value that is written to one of the measured columns, or the comparison with one; None if neither."""
    if isinstance(node, ast.keyword) and node.arg in MEASURED:
        return node.value
    if isinstance(node, ast.Compare) and getattr(node.left, "attr", None) in MEASURED:
        return node
    if isinstance(node, ast.Assign):
        target, value = node.targets[-1], node.value
        tuples = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        pairs = zip(target.elts, value.elts, strict=True) if tuples else [(target, value)]
        return next((value for part, value in pairs if getattr(part, "attr", None) in MEASURED), None)
    return None


def test_leases_pauses_and_heartbeats_are_computed_by_the_database():
    """`now()` would be a moment of this process, however good its clock is."""
    found = [(name, value) for name, tree in sources() for node in ast.walk(tree) if (value := written(node))]

    assert len(found) > 10
    assert [] == [(name, ast.unparse(value)) for name, value in found if "now" in calls(value)]
