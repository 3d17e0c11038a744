"""The resources of the machine that a training uses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NICE = """
import os
from model_training.training.devices import yield_to_scoring
before = os.getpriority(os.PRIO_PROCESS, 0)
yield_to_scoring(max(12, before), 0)
yield_to_scoring(max(12, before), 0)
print(os.getpriority(os.PRIO_PROCESS, 0) - max(12, before))
"""
THREADS = """
from pathlib import Path
from model_training.training.devices import yield_to_scoring
yield_to_scoring(0, 5)
import tensorflow
tensorflow.ones((300, 300)) @ tensorflow.ones((300, 300))
names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
print(names.count("tf_Compute"))
"""

TWO_DEVICES = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow
processor = tensorflow.config.list_physical_devices("CPU")[0]
two = [tensorflow.config.LogicalDeviceConfiguration()] * 2
tensorflow.config.set_logical_device_configuration(processor, two)
from unittest.mock import Mock
from model_training.data import dataset
from model_training.training import fit as training
from model_training.training.devices import distribute_over
from model_training.networks.hyperparameters import Hyperparameters
from model_training.networks.catalogue import NETWORKS
network = NETWORKS["phantom"]
data = dataset.read(Path(sys.argv[1]), network.input_size)
replicas, weights, validation = [], [], []
for devices in ("one", "all"):
    with distribute_over(devices):
        replicas.append(tensorflow.distribute.get_strategy().num_replicas_in_sync)
        fitted = training.fit(network, data, Hyperparameters(2, seed=1, batch_size=4), Mock())
        weights.append(fitted.network.get_weights())
        validation.append([[epoch["val_loss"], epoch["val_accuracy"]] for epoch in fitted.history])
assert len(data.splits["validation"]) > 4
apart = max(float(np.abs(one - two).max()) for one, two in zip(*weights))
print(json.dumps([replicas, apart, float(np.abs(np.subtract(*validation)).max())]))
"""


def output_of(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_niceness_is_set_and_not_added_from_run_to_run():
    """One child process carries out several runs."""
    assert "0" == output_of(NICE)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted as Linux shows them")
def test_a_training_keeps_to_its_threads():
    """It uses five threads on any machine."""
    assert "5" == output_of(THREADS)


def test_two_devices_train_the_same_network_as_one(shared_data, tmp_path):
    """TensorFlow splits one processor into two devices; each batch is split over both, and their weights stay equal."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(shared_data)], capture_output=True, text=True, check=True,
        env=os.environ | {"THORAQ_DATA_DIR": str(tmp_path), "THORAQ_MODE": "test", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip

    replicas, of_weights, of_validation = json.loads(done.stdout)
    assert [1, 2] == replicas
    assert of_weights < 1e-5
    assert of_validation < 1e-5
