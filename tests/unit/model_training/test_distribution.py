"""What a training takes of the machine."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model_training import dataset, training
from model_training.distribution import over_devices
from model_training.knobs import Knobs
from model_training.networks import NETWORKS

NICE = """
import os
from model_training.distribution import yield_to_scoring
before = os.getpriority(os.PRIO_PROCESS, 0)
yield_to_scoring(max(12, before), 0)
yield_to_scoring(max(12, before), 0)
print(os.getpriority(os.PRIO_PROCESS, 0) - max(12, before))
"""
THREADS = """
from pathlib import Path
from model_training.distribution import yield_to_scoring
yield_to_scoring(0, 5)
import tensorflow
tensorflow.ones((300, 300)) @ tensorflow.ones((300, 300))
names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
print(names.count("tf_Compute"))
"""


def said(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_niceness_is_set_and_not_added_from_run_to_run():
    """One child carries out several runs."""
    assert "0" == said(NICE)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted as Linux shows them")
def test_a_training_keeps_to_its_threads():
    """Five, whatever the machine has."""
    assert "5" == said(THREADS)


def test_all_devices_train_the_same_network_as_one(shared_data, watcher, database):
    """Here all are one; on several this is unproven."""
    network, knobs = NETWORKS["phantom"], Knobs(2, seed=1)
    data = dataset.read(shared_data, network.input_size)

    weights = []
    for devices in ("one", "all"):
        with over_devices(devices):
            weights.append(training.fit(network, data, knobs, watcher).network.get_weights())

    assert all(np.allclose(one, all_, atol=1e-5) for one, all_ in zip(*weights, strict=True))
