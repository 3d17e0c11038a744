"""`make audit` succeeds only if it could ask the database of vulnerabilities."""

import os
import re
import shlex
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def test_an_audit_that_cannot_reach_its_database_fails():
    """Without an answer, it does not say that there are no known vulnerabilities."""
    recipe = re.search(r"^audit:.*\n((?:\t.*\n)+)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)[1]
    program, *options = shlex.split(recipe.partition("$(foreach")[0].replace("\\\n", " "))
    assert "$(BIN)/pip-audit" == program

    answer = subprocess.run(
        [CHECKOUT / ".venv" / "bin" / "pip-audit", *options, "--requirement", "requirements.lock"],
        cwd=CHECKOUT,
        env=os.environ | {"HTTPS_PROXY": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 != answer.returncode
    assert "No known vulnerabilities" not in answer.stdout + answer.stderr
    assert "127.0.0.1" in answer.stderr
