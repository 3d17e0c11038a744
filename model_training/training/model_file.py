"""A network as a file whose bytes depend on nothing but the network: the same training gives the same version.

Keras writes the moment of saving into it, and the memory addresses of objects that layers share.
"""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

#: The earliest moment that a zip archive can name.
NO_MOMENT = (1980, 1, 1, 0, 0, 0)
METADATA, DATE = "metadata.json", "date_saved"
CONFIG, ADDRESS = "config.json", "shared_object_id"


def write(network: Any, path: Path) -> None:  # noqa: ANN401 - Keras has no types
    """Save a Keras model as `path`."""
    with tempfile.TemporaryDirectory(prefix=".model-", dir=path.parent) as scratch:
        saved, timeless = Path(scratch) / "saved.keras", Path(scratch) / "timeless.keras"
        network.save(saved)
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(timeless, "w") as target:
            for name in sorted(source.namelist()):
                content = source.read(name)
                if name == METADATA:
                    told = json.loads(content)
                    content = json.dumps({key: told[key] for key in sorted(told) if key != DATE}).encode()
                elif name == CONFIG:
                    content = json.dumps(_renumbered(json.loads(content), {})).encode()
                target.writestr(zipfile.ZipInfo(name, NO_MOMENT), content)
        timeless.replace(path)


def _renumbered(part: Any, numbers: dict[int, int]) -> Any:  # noqa: ANN401 - any JSON
    """Return a configuration whose shared objects are numbered in the order in which they come."""
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
