"""A candidate, from folders of films to a directory that the worker can load."""

import json
import zipfile

import keras
import numpy as np
import pytest

from model_training.candidate import Recipe, build
from model_training.data.class_folders import DatasetError
from model_training.data.dataset import read
from model_training.data.films import ignore, read_films, reasons_of
from model_training.data.formats import find_films_to_evaluate
from model_training.evaluating import predict_films
from model_training.metrics.calibration import fit_temperature, tempered
from model_training.training import predictions
from worker.errors import Reason, RejectedImage
from worker.models.classifier import Classifier
from worker.models.directory import MODEL_FILE, read_card, read_report, sha256_of, verified
from worker.settings import settings


def test_the_card_says_what_was_trained_and_how(built, shared_data):
    """It is written, read back and verified by the worker's registry."""
    directory, card, _ = built

    _, verified_card = verified(directory)

    digest = sha256_of(directory / MODEL_FILE)
    assert card == verified_card == read_card(directory)
    assert (f"phantom-{digest[:12]}", digest) == (card.version, card.sha256)
    assert ("Left", "Right") == card.classes
    assert (3, 6, 32) == (card.seed, card.epochs, card.batch_size)
    assert read(shared_data, card.input_size).fingerprint == card.data_fingerprint
    assert {"Left": 4, "Right": 4} == card.data_counts["test"]
    assert {"n", "accuracy", "accuracy_lower", "accuracy_upper", "macro_auroc"} <= card.metrics["test"].stored().keys()
    assert 8 == card.metrics["test"].n
    assert card.training["kept_by"]
    assert "Research use only; not a medical device." in card.limits


def test_the_report_has_curves_and_evaluations(built):
    """The dashboard shows these files."""
    directory, card, _ = built
    report = read_report(directory)

    assert card.version == report.version
    assert list(range(1, 7)) == [epoch.epoch for epoch in report.history]
    assert {"train": 24, "validation": 8, "test": 8} == {
        split: report.of_split(split).n for split in ("train", "validation", "test")
    }
    assert card.limits == report.limits
    assert (directory / "curves.svg").is_file()
    assert (directory / "confusion.svg").is_file()


def test_the_published_file_is_small_and_has_no_optimiser(built):
    """Scoring needs neither the optimiser's state nor the augmentation."""
    directory, _, _ = built
    path = directory / MODEL_FILE

    network = keras.saving.load_model(path, safe_mode=True)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    assert path.stat().st_size < 300_000
    assert getattr(network, "optimizer", None) is None
    assert "Random" not in config
    assert not json.loads(config)["compile_config"]


def test_the_worker_predicts_as_the_report_says(built, shared_data):
    """The worker's classifier gives the same table on the test split."""
    directory, card, _ = built
    classifier = Classifier.load(directory)
    films = read_films(find_films_to_evaluate(shared_data, card.classes).listing, card.input_size)

    predicted = classifier.predict(films.pixels).argmax(axis=1)

    table = np.zeros((2, 2), int)
    np.add.at(table, (predicted, films.labels), 1)
    assert read_report(directory).stored()["test"]["table"] == table.tolist()


def test_the_same_training_gives_the_same_file_and_so_the_same_version(built, shared_data, tmp_path, progress):
    """The file contains no time: a version depends on what was learned, not on when."""
    _, card, _ = built

    again = build(Recipe(shared_data, "phantom", epochs=6, seed=3), tmp_path / "again", progress)

    assert (card.version, card.sha256) == (again.version, again.sha256)


def test_the_published_network_is_calibrated_on_validation_films(built, shared_data):
    """Its last layer is divided by the temperature, so that fitting one again gives 1."""
    directory, _, _ = built
    validation = predictions.load(directory)["validation"]
    scaling = read_report(directory).calibration

    # These films are so easy that the temperature ends at the edge of what is looked for.
    undone = tempered(validation.probabilities, 1 / scaling.temperature)
    assert fit_temperature(undone, validation.labels) == pytest.approx(scaling.temperature, rel=0.01)
    assert scaling.temperature == read_report(directory).provenance.temperature
    assert scaling.before["validation"].log_loss >= scaling.after["validation"].log_loss


def test_a_finished_run_leaves_no_checkpoint(built):
    """The checkpoint is needed only until the candidate is complete."""
    assert not list((settings().data_dir / "checkpoints").glob("*"))


def test_films_of_other_hospitals_are_evaluated_and_not_trained_on(shared_data, drawn, tmp_path, progress):
    """The report has them under their own name, with their own n."""
    recipe = Recipe(shared_data, "phantom", epochs=1, external=drawn / "test")

    build(recipe, tmp_path / "candidate", progress)

    report = read_report(tmp_path / "candidate")
    assert 8 == report.external.n
    assert {"Left": 12, "Right": 12} == report.data.counts["train"]


def test_progress_is_reported_for_each_film(drawn, draw):
    """The films are not in the cache."""
    calls = []
    for number, path in enumerate(sorted(drawn.rglob("*.png"))):
        draw(path, 1000 + number, bright_left=path.parent.name == "Left")

    read(drawn, (64, 64), lambda done, total: calls.append((done, total)))

    assert [(done, 40) for done in range(1, 41)] == calls


def test_progress_is_reported_for_each_epoch(built):
    """The number of planned epochs is reported, too."""
    _, _, progress = built

    assert [(done, 6) for done in range(1, 7)] == progress.epochs
    assert 6 == progress.steps


def test_results_are_given_by_source_if_a_manifest_names_sources(drawn, tmp_path, progress):
    """The accuracy within a source reveals a short cut."""
    rows = [
        f"{path.relative_to(drawn).as_posix()},{'north' if index % 3 else 'south'}"
        for index, path in enumerate(sorted(drawn.rglob("*.png")))
    ]
    (drawn / "manifest.csv").write_text("\n".join(["file,source_repo", *rows]) + "\n")

    build(Recipe(drawn, "phantom", epochs=1), tmp_path / "candidate", progress)

    groups = read_report(tmp_path / "candidate").test_by_source
    assert {"north", "south"} == {row.group for row in groups}
    assert 8 == sum(row.n for row in groups)


def test_a_network_that_does_not_exist_is_not_trained(drawn, tmp_path, progress):
    """The name is checked before a film is read."""
    with pytest.raises(KeyError):
        build(Recipe(drawn, "v9"), tmp_path / "candidate", progress)


def test_an_evaluation_counts_films_that_the_film_check_rejects(built, shared_data, accepting_few):
    """The n counts predicted films; the others have the reason of the film check."""
    directory, _, _ = built
    classifier = accepting_few(directory)

    with pytest.raises(DatasetError, match="rejects every file"):
        predict_films(classifier(0), shared_data, ignore)
    predicted = predict_films(classifier(3), shared_data, ignore)

    assert 3 == len(predicted.predictions)
    assert {"not_a_chest_film": 5} == reasons_of(predicted.predictions.left_out)


@pytest.fixture
def accepting_few():
    """A function that returns a classifier whose film check accepts a given number of films."""

    def load(directory):
        def letting_pass(films):
            passed = iter([0.0] * films)

            class Counting:
                def check(self, film):
                    if next(passed, None) is None:
                        raise RejectedImage(Reason.NOT_A_CHEST_FILM, "one too many")

            loaded = Classifier.load(directory)
            loaded.film_check = Counting()
            return loaded

        return letting_pass

    return load
