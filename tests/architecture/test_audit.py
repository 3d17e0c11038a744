"""`make audit`: it says that nothing is known of the dependencies only if it could ask."""

import os
import re
import shlex
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def test_an_audit_that_cannot_reach_its_database_fails():
    """Silence is no clean bill of health."""
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
