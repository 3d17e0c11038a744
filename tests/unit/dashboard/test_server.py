"""The dashboard as a process: it starts fast and loads nothing that learns or draws."""

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import suppress

from worker.demo.embedded_redis import free_port

FORBIDDEN = ("keras", "tensorflow", "matplotlib", "scipy", "sklearn")


def test_building_the_application_imports_no_learning_library(database):
    """They cost seconds and memory, and the dashboard needs none of them."""
    program = (
        "import sys; from dashboard.app import create_app; create_app(); "
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "[]\n" == done.stdout, done.stderr


def test_every_line_of_its_log_is_json_where_that_is_asked_for(database, tmp_path):
    """Gunicorn's own lines, too; and no request is logged."""
    port = free_port()
    environment = os.environ | {
        "THORAQ_DATA_DIR": str(tmp_path), "THORAQ_MODE": "test", "THORAQ_LOG_FORMAT": "json",
    }  # fmt: skip
    command = [sys.executable, "-m", "worker", "dashboard", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stderr.readline()]
        while lines[-1] and "Booting worker" not in lines[-1]:
            lines.append(process.stderr.readline())
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live?key=secret", timeout=10).read()
        process.terminate()
        lines += process.stderr.readlines()

    told = [json.loads(line) for line in lines]
    assert {"gunicorn.error"} <= {line["logger"] for line in told}
    assert not any("secret" in line["message"] for line in told)
