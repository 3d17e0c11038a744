"""From a trained candidate to its promotion: the gate judges it, and a person or a setting promotes it."""

import shutil

import pytest

from model_training.candidate import Recipe, build
from model_training.retraining import run as retraining
from worker.database import reading, transaction
from worker.models import directory as model_directory
from worker.models import promotion, registry
from worker.models.records import RetrainingRun, RunState
from worker.settings import settings


@pytest.fixture(scope="module")
def gated(shared_data, tmp_path_factory, draw):
    """The shared set with a gate of its own, large enough to judge by."""
    folder = tmp_path_factory.mktemp("gated") / "data"
    shutil.copytree(shared_data, folder)
    for index in range(40):
        name = "Left" if index % 2 else "Right"
        draw(folder / "gate" / name / f"{index:02}.png", 3000 + index, bright_left=name == "Left")
    return folder


@pytest.fixture(scope="module")
def trained(gated, tmp_path_factory, progress):
    """A version that can tell left from right."""
    directory = tmp_path_factory.mktemp("trained") / "candidate"
    build(Recipe(gated, "phantom", epochs=12, seed=3), directory, progress)
    return directory


@pytest.fixture
def active(database, trained, gated, monkeypatch, forgotten_settings):
    """The name of that version, which is active; the settings train another like it."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(gated))
    monkeypatch.setenv("THORAQ_TRAINING_NETWORK", "phantom")
    monkeypatch.setenv("THORAQ_TRAINING_EPOCHS", "12")
    monkeypatch.setenv("THORAQ_TRAINING_SEED", "4")
    forgotten_settings()
    with transaction() as session:
        return registry.import_model(session, trained, settings().models_dir).version


def carried_out():
    """Ask for a run, carry it out, and return it with the verdict on its candidate."""
    with transaction() as session:
        run = RetrainingRun(asked_by="test", unfinished=True)
        session.add(run)
        session.flush()
        run_id = run.id
    retraining.retrain(run_id)
    with reading() as session:
        run = session.get_one(RetrainingRun, run_id)
        assert run.candidate is None or run.candidate.version
        return run, promotion.latest(session, run.candidate_id) if run.candidate_id else None


def active_now():
    with reading() as session:
        return registry.active(session).version


def shuffled(gated, folder):
    """Return a copy of the set in which half of the labels of train and validation are wrong."""
    shutil.copytree(gated, folder)
    for split in ("train", "validation"):
        for number, path in enumerate(sorted((folder / split).rglob("*.png"))):
            other = "Right" if path.parent.name == "Left" else "Left"
            if number % 4 < 2:
                path.rename(folder / split / other / f"shuffled-{path.name}")
    return folder


def test_a_candidate_as_good_as_the_active_version_passes_and_waits_for_a_person(active):
    """Nothing promotes itself by default."""
    run, verdict = carried_out()

    assert verdict.passed, verdict.verdict.reasons
    assert (RunState.DONE, 40) == (run.state, verdict.verdict.n)
    assert {"test"} <= verdict.verdict.shown.candidate.keys()
    assert active == active_now()
    assert run.message.endswith("passed the gate; not promoted")

    with transaction() as session:
        promotion.promote(session, run.candidate.version, "ann")
        activation = registry.current_activation(session)
    assert (run.candidate.version, False, verdict.id) == (active_now(), activation.forced, activation.verdict_id)


def test_a_setting_lets_a_candidate_that_passed_take_its_place(active, monkeypatch, forgotten_settings):
    """The activation records that no person did it."""
    monkeypatch.setenv("THORAQ_TRAINING_AUTOMATIC_PROMOTION", "true")
    forgotten_settings()

    run, _ = carried_out()

    assert run.candidate.version == active_now() != active
    with reading() as session:
        assert retraining.AUTOMATIC == registry.current_activation(session).activated_by


def test_a_candidate_of_shuffled_labels_is_refused_with_the_reason(
    active, gated, tmp_path, monkeypatch, forgotten_settings
):
    """The setting for automatic promotion does not change that."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(shuffled(gated, tmp_path / "shuffled")))
    monkeypatch.setenv("THORAQ_TRAINING_AUTOMATIC_PROMOTION", "true")
    forgotten_settings()

    run, verdict = carried_out()

    assert not verdict.passed
    assert any("macro AUROC" in reason for reason in verdict.verdict.reasons), verdict.verdict.reasons
    assert "the gate rejects it" in run.message
    assert active == active_now()


def test_a_candidate_with_a_flipped_byte_is_never_loaded(active, monkeypatch):
    """The run fails and says why; nothing is judged, and nothing promoted."""
    published = model_directory.publish

    def flipped(directory, models_dir):
        target = published(directory, models_dir)
        with (target / model_directory.MODEL_FILE).open("r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 1]))
        return target

    monkeypatch.setattr(model_directory, "publish", flipped)

    run, verdict = carried_out()

    assert (RunState.FAILED, None) == (run.state, verdict)
    assert "is not the file that was published" in run.message
    assert active == active_now()


def test_a_run_that_was_killed_after_its_training_does_not_train_again(active, monkeypatch, trained):
    """The complete candidate is in the folder of the run."""
    shutil.copytree(trained, settings().data_dir / "candidates" / "run-1")
    monkeypatch.setattr(retraining.candidate, "build", lambda *_: pytest.fail("it was trained twice"))

    run, verdict = carried_out()

    assert (RunState.DONE, active) == (run.state, run.candidate.version)
    assert any("the same bytes" in note for note in verdict.verdict.notes)
