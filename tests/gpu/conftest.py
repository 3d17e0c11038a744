"""Without a GPU, as in CI, these tests are skipped. Run them with `pytest tests/gpu`."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def gpu() -> None:
    """A GPU that Keras's backend computes on."""
    from worker.models.classifier import device_name

    if not device_name().endswith("gpu"):
        pytest.skip(f"{device_name()}: no GPU")
