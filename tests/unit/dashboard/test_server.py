"""The dashboard as a process: it starts fast and loads nothing that learns or draws."""

import subprocess
import sys

FORBIDDEN = ("keras", "tensorflow", "matplotlib", "scipy", "sklearn")


def test_building_the_application_imports_no_learning_library(database):
    """They cost seconds and memory, and the dashboard needs none of them."""
    program = (
        "import sys; from dashboard.app import create_app; create_app(); "
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert "[]\n" == done.stdout, done.stderr
