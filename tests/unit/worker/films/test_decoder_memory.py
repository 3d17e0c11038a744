"""The kernel limits the memory of a decoder."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from worker.films.decoder_memory import MAX_PROCESS_BYTES, limit_memory
limit_memory()
fits = np.ones(300 * 2**20, np.uint8)
try:
    np.ones(200 * 2**20, np.uint8)
except MemoryError:
    print("refused")
del fits
np.ones(300 * 2**20, np.uint8)
limit_memory()
print("goes on")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this limit")
def test_a_decoder_gets_no_more_than_its_memory_and_goes_on():
    """What a film leaves is there for the next one; a second limit cannot lift the first."""
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert ["refused", "goes on"] == told.stdout.split("\n")[:2]
