"""`make demo` as a newcomer types it, with an empty home directory."""

import csv
import json
import os
import re
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).parent.parent.parent


def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment without the caller's variables, and with an empty home directory."""
    (tmp_path / "home").mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "THORAQ_DATA_DIR": str(tmp_path / "data")}


@contextmanager
def started(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Start a demo; kill it at the end, so that a failed test does not wait for it."""
    # A process that a script starts in the background ignores Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [CHECKOUT / ".venv/bin/thoraq", "demo"]
    options = {"env": environment(tmp_path), "cwd": CHECKOUT, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def run(command: list[str], tmp_path: Path) -> str:
    """Run a command of the README to its end."""
    done = subprocess.run(command, env=environment(tmp_path), cwd=CHECKOUT, capture_output=True, text=True, timeout=500)
    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_demo_scores_its_phantoms_and_other_commands_find_the_results(tmp_path):
    """There are 24 phantoms with one prediction each, which `thoraq results` finds afterwards."""
    output = run(["make", "demo", "ARGS=--once"], tmp_path)

    assert "24 scored, 0 rejected" in output
    assert "(phantoms)" in output
    results = json.loads(run([".venv/bin/thoraq", "results", "--json"], tmp_path))
    assert 24 == len(results) == sum(row["outcome"] == "scored" for row in results)
    assert {"phantoms"} == {row["trained_on"] for row in results}
    # No process of the demo is left.
    lines = [str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
    assert [] == [line for line in lines if str(tmp_path) in line]


def test_the_demo_on_real_films_agrees_with_evaluate(tmp_path, real_films):
    """Each of 810 films has a prediction or a rejection; the accuracy is that of `thoraq evaluate`."""
    output = run(["make", "demo", f"ARGS=--once --images {real_films / 'test'}"], tmp_path)

    right, judged = map(int, re.search(r"accuracy [\d.]+ \((\d+) of (\d+) films", output).groups())
    run([".venv/bin/thoraq", "evaluate", "--data", str(real_films), "--model", "active", "--json",
         str(tmp_path / "report.json")], tmp_path)  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert 810 == report["n"] + report["rejected"]["count"]
    assert report["n"] == judged
    assert right == round(report["overall"]["Accuracy"] * report["n"])

    run([".venv/bin/thoraq", "results", "--csv", str(tmp_path / "results.csv")], tmp_path)
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert 810 == len(rows) == len({row["reference"] for row in rows})
    pairs = Counter((row["label"], row["reference"].split("/")[0]) for row in rows)
    assert report["table"] == [[pairs[label, truth] for truth in report["classes"]] for label in report["classes"]]


def test_a_demo_that_is_killed_leaves_nothing_behind_and_can_be_started_again(tmp_path):
    """SIGKILL of the demo also ends its Redis and its workers; the next demo finds its data."""
    with started(tmp_path) as demo:
        line = next(line for line in demo.stdout if "dashboard: http" in line)
        address = re.search(r"http://\S+", line)[0]
        assert 200 == urllib.request.urlopen(address + "/login", timeout=10).status
        family = psutil.Process(demo.pid).children(recursive=True)
        demo.kill()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert [] == alive
    assert len(family) >= 8

    assert "24 scored, 0 rejected" in run(["make", "demo", "ARGS=--once"], tmp_path)
    assert 48 == len(json.loads(run([".venv/bin/thoraq", "results", "--json"], tmp_path)))


def test_ctrl_c_stops_the_demo_in_order(tmp_path):
    """The exit code is 0, and no process is left."""
    with started(tmp_path) as demo:
        next(line for line in demo.stdout if "dashboard: http" in line)
        family = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGINT)
        assert 0 == demo.wait(60)

    _, alive = psutil.wait_procs(family, timeout=10)
    assert [] == alive
