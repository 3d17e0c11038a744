"""The dashboard as a process: it needs no network, decoder or plotting library, and its log is JSON if asked for."""

import json
import os
import subprocess
import sys
import urllib.request

from worker.demo.embedded_redis import free_port

#: What `pip install thoraq[dashboard]` does not install.
ABSENT = ("keras", "tensorflow", "matplotlib", "scipy", "sklearn", "numpy", "PIL", "pydicom", "urllib3", "torch", "jax")
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))  # Importing one of them fails.
from dashboard.accounts import accounts
from dashboard.app import create_app
from dashboard.settings import DashboardSettings
from worker.database import Base, engine

accounts.HASHER = accounts.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
app = create_app(DashboardSettings(mode="test", secure_cookies=False))
app.config.update(WTF_CSRF_ENABLED=False)
Base.metadata.create_all(engine())
accounts.add("alice", "correct horse battery", accounts.Role.ADMIN, "test")
client = app.test_client()
print(client.get("/health/live").status_code, client.get("/health/ready").status_code, client.get("/login").status_code)
client.post("/login", data=dict(name="alice", password="correct horse battery"))
for path in ("/studies", "/upload", "/queue/", "/queue/chart.svg", "/models/", "/drift", "/training/"):
    print(path, client.get(path).status_code)
"""


def test_the_dashboard_runs_without_the_libraries_of_workers_and_trainers(data_dir):
    """`thoraq[dashboard]` does not install them: they need gigabytes of disk."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    first, *pages = done.stdout.splitlines()
    assert "200 200 200" == first
    assert 7 == len(pages)
    assert all(page.endswith(" 200") for page in pages), done.stdout


def test_every_line_of_its_log_is_json_where_that_is_asked_for(database, tmp_path):
    """This includes gunicorn's own lines; requests are not logged."""
    port = free_port()
    environment = os.environ | {
        "THORAQ_DATA_DIR": str(tmp_path), "THORAQ_MODE": "test", "THORAQ_LOG_FORMAT": "json",
    }  # fmt: skip
    command = [sys.executable, "-m", "worker", "dashboard", "--port", str(port)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **options) as process:
        lines = [process.stdout.readline()]
        while lines[-1] and "Booting worker" not in lines[-1]:
            lines.append(process.stdout.readline())
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live?key=secret", timeout=60) as answer:
                assert 200 == answer.status
        finally:
            process.terminate()
        lines += process.stdout.readlines()

    records = [json.loads(line) for line in lines]
    assert {"gunicorn.error"} <= {line["logger"] for line in records}
    assert not any("secret" in line["message"] for line in records)
