"""The provenance of a run: its software, the kind of machine and the commit."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from worker.decoding import PREPROCESSING
from worker.models import backend
from worker.models.classifier import device_name
from worker.models.documents.report import Provenance

CHECKOUT = Path(__file__).parent.parent.parent
GIT_TIMEOUT_SECONDS = 10


def provenance(*, seed: int, seconds: float, temperature: float) -> Provenance:
    """Return what must be known to repeat a run.

    Args:
        seed: the seed of the run.
        seconds: how long the training took.
        temperature: the number by which the last layer was divided; 1 if it was not changed.
    """
    return Provenance(
        software=software(),
        platform=platform.machine(),
        processor=_processor(),
        device=device_name(),
        preprocessing=PREPROCESSING,
        git=commit(),
        seconds=round(seconds, 1),
        seed=seed,
        temperature=temperature,
    )


def software() -> dict[str, str]:
    """Return the versions of Thoraq, Python, Keras and its backend."""
    keras = backend.keras()
    engine = keras.backend.backend()
    return {
        "thoraq": metadata.version("thoraq"),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": f"{engine} {metadata.version(engine)}",
    }


def commit() -> str | None:
    """Return the commit of the running checkout, with `-dirty` if files differ from it; None outside a checkout."""
    if not (CHECKOUT / ".git").exists():
        return None
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_SECONDS)  # noqa: S603 - constant words
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _processor() -> str | None:
    """Return the processor's name; Python itself knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or None
