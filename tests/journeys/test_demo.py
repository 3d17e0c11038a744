"""`make demo` as a newcomer types it, with an empty home."""

import csv
import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def run(command: list[str], tmp_path: Path) -> str:
    """Run a command of the README with nothing of the caller's in its environment."""
    (tmp_path / "home").mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "THORAQ_DATA_DIR": str(tmp_path / "data"),
    }  # fmt: skip
    done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=500)
    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_demo_scores_its_phantoms_and_leaves_its_results_to_other_commands(tmp_path):
    """24 phantoms, one prediction each; afterwards `thoraq results` finds them by itself."""
    told = run(["make", "demo", "ARGS=--once"], tmp_path)

    assert "24 scored, 0 rejected" in told
    assert "(phantoms)" in told
    results = json.loads(run([".venv/bin/thoraq", "results", "--json"], tmp_path))
    assert 24 == len(results) == sum(row["outcome"] == "scored" for row in results)
    assert {"phantoms"} == {row["trained_on"] for row in results}
    # Nothing of the demo goes on.
    assert "" == subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout


def test_the_demo_on_real_films_agrees_with_evaluate(tmp_path, real_films):
    """810 films, one prediction or rejection each; the table's accuracy is that of `thoraq evaluate`."""
    told = run(["make", "demo", f"ARGS=--once --images {real_films / 'test'}"], tmp_path)

    right, judged = map(int, re.search(r"accuracy [\d.]+ \((\d+) of (\d+) films", told).groups())
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
