"""Writes a network to a file whose bytes depend only on the network, so that equal trainings give equal versions.

Keras itself writes the time of saving into the file, and the memory addresses of objects that layers share.
"""

import json
import tempfile
import zipfile
from pathlib import Path

from model_training.networks.keras_types import Model

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

#: The earliest time that a zip archive can store.
EARLIEST = (1980, 1, 1, 0, 0, 0)
METADATA, DATE = "metadata.json", "date_saved"
CONFIG, ADDRESS = "config.json", "shared_object_id"


def write(network: Model, path: Path) -> None:
    """Save a Keras model as `path`."""
    with tempfile.TemporaryDirectory(prefix=".model-", dir=path.parent) as scratch:
        saved, stripped = Path(scratch) / "saved.keras", Path(scratch) / "stripped.keras"
        network.save(saved)
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(stripped, "w") as target:
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name == METADATA:
                    metadata = json.loads(content)
                    content = json.dumps({key: metadata[key] for key in sorted(metadata) if key != DATE}).encode()
                elif name == CONFIG:
                    content = json.dumps(_renumbered(json.loads(content), {})).encode()
                target.writestr(zipfile.ZipInfo(name, EARLIEST), content)
        stripped.replace(path)


def _renumbered(part: Json, numbers: dict[Json, int]) -> Json:
    """Return a configuration in which shared objects are numbered in the order of their appearance."""
    if isinstance(part, list):
        return [_renumbered(entry, numbers) for entry in part]
    if not isinstance(part, dict):
        return part
    return {
        key: numbers.setdefault(value, len(numbers) + 1)
        if key == ADDRESS and value is not None
        else _renumbered(value, numbers)
        for key, value in part.items()
    }
