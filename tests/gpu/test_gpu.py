"""The worker on a GPU: the probabilities are those of the processor, and batches that do not fit are halved."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from worker.decoding import resize
from worker.films.phantoms import FINDINGS, draw, write_films
from worker.models import directory as model_directory
from worker.models.classifier import Classifier, device_name

#: A worker whose children may take 400 MiB of the GPU besides what CUDA itself takes: a batch of 64 films needs more,
#: one of 16 does not.
SMALL_GPU_WORKER = """
import sys
import torch
from celery.signals import worker_process_init

@worker_process_init.connect
def limit(**_):
    torch.cuda.set_per_process_memory_fraction(400 * 2**20 / torch.cuda.get_device_properties(0).total_memory)

from worker.cli import main
sys.argv = ["thoraq", "worker"]
main()
"""
ANSWERS = """
import sys
from pathlib import Path
import numpy as np
from worker.models.classifier import Classifier, device_name
model, films, answers = map(Path, sys.argv[1:])
assert device_name().endswith("cpu"), device_name()
np.save(answers, Classifier.load(model, batch_size=64).predict(np.load(films)))
"""


@pytest.mark.parametrize("directory", model_directory.SHIPPED, ids=lambda directory: directory.name)
def test_a_gpu_answers_as_the_processor_does(directory, tmp_path):
    """Every probability agrees to 1e-5. The requirement is 1e-3, which rounding to TF32 would miss."""
    classifier = Classifier.load(directory, batch_size=64)
    drawn = [draw(list(FINDINGS)[number % len(FINDINGS)], number) for number in range(100)]
    films = np.stack([resize(film, classifier.card.input_size) for film in drawn])
    np.save(tmp_path / "films.npy", films)

    found = classifier.predict(films)
    command = [sys.executable, "-c", ANSWERS, directory, tmp_path / "films.npy", tmp_path / "answers.npy"]
    subprocess.run(command, env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}, check=True)

    assert np.abs(np.load(tmp_path / "answers.npy") - found).max() < 1e-5


def test_a_batch_that_the_gpu_cannot_hold_is_halved_and_every_film_is_scored(deployment, tmp_path):
    """A whole worker runs lite0 without its film check, which would reject phantoms."""
    if device_name() != "torch gpu":
        pytest.skip(f"{device_name()}: only PyTorch can be kept from memory that is there")
    model = shutil.copytree(model_directory.SHIPPED_FILMS, tmp_path / "model")
    card = json.loads((model / "card.json").read_text())
    (model / "card.json").write_text(json.dumps(card | {"version": "unchecked", "film_check": None}))
    deployment.thoraq("models", "import", str(model))
    deployment.thoraq("models", "promote", "unchecked")
    write_films(tmp_path / "images", per_finding=100, seed=7)
    submission = deployment.thoraq("submit", str(tmp_path / "images")).strip()

    with (deployment.directory / "worker.log").open("ab") as log:
        deployment.processes["worker"] = subprocess.Popen(
            [sys.executable, "-c", SMALL_GPU_WORKER], env=deployment.environment, stdout=log, stderr=log
        )
    standing = deployment.wait_until_finished(submission)

    assert 400 == standing["scored"]
    assert "batches have 32 films from now on" in deployment.log("worker")
    assert "batches have 1 films" not in deployment.log("worker")
