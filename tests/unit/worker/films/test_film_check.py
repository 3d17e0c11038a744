"""The film check: what it rejects, and how it is stored."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from model_training import film_check
from model_training.data.films import Films
from worker.decoding import resize
from worker.errors import ModelUnavailable, Reason, RejectedImage
from worker.films.film_check import FILM_CHECK_FILE, load_film_check
from worker.films.phantoms import FINDINGS, draw
from worker.models import directory as model_directory
from worker.models.classifier import Classifier
from worker.models.documents.card import FilmCheckCard


def films_of(n, first):
    pixels = np.stack([resize(draw(list(FINDINGS)[seed % len(FINDINGS)], first + seed), (64, 64)) for seed in range(n)])
    return Films(pixels, np.zeros(n, np.int64), tuple(f"{seed}.png" for seed in range(n)))


@pytest.fixture(scope="module")
def splits():
    return {"train": films_of(120, 0), "validation": films_of(60, 1000), "test": films_of(60, 2000)}


@pytest.fixture(scope="module")
def check(splits):
    return film_check.fit(splits)


def strangers():
    across = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    rings = (np.hypot(*np.mgrid[-32:32, -32:32]) * 20 % 256).astype(np.uint8)
    lines = np.where(np.arange(64)[:, None] % 6 < 2, 30, 250).astype(np.uint8) * np.ones((1, 64), np.uint8)
    return {"gradient": across, "rings": rings, "lines": lines}


def test_films_of_the_kind_it_learned_from_pass_and_others_do_not(check, splits):
    """The threshold is set on validation films; test films pass as they do."""
    assert film_check.rejections(check, splits)["test"]["rejected"] <= 2
    for name, picture in strangers().items():
        with pytest.raises(RejectedImage) as rejected:
            check.check(picture)
        assert Reason.NOT_A_CHEST_FILM == rejected.value.reason, name


def test_a_film_inverted_upside_down_or_in_a_black_border_passes(check):
    """Such a film is odd, and it is still a chest film."""
    film = resize(draw("No-Findings", 5), (64, 64))
    bordered = np.zeros((64, 64), np.uint8)
    bordered[8:56, 8:56] = resize(film, (48, 48))

    for odd in (255 - film, film[::-1, ::-1], bordered):
        check.check(np.ascontiguousarray(odd))


def test_too_few_films_make_no_film_check(splits):
    """Ten films do not show how films differ."""
    assert film_check.fit({**splits, "train": films_of(10, 0)}) is None


def test_a_stored_film_check_is_equal_and_a_changed_file_is_refused(check, tmp_path):
    """Its SHA-256 is checked, as that of the network is."""
    path = tmp_path / FILM_CHECK_FILE
    sha256 = check.save(path)
    film = resize(draw("Opacity", 7), (64, 64))

    assert check.distance(film) == pytest.approx(load_film_check(path, sha256).distance(film), rel=1e-4)
    assert sha256 == dataclasses.replace(check).save(tmp_path / "again.npz")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelUnavailable):
        load_film_check(path, sha256)
    with pytest.raises(ModelUnavailable):
        load_film_check(tmp_path / "none", sha256)


def test_the_classifier_applies_the_film_check_that_its_card_names(check, tmp_path):
    """A model whose card has none accepts every film that decodes."""
    directory = tmp_path / "model"
    shutil.copytree(model_directory.SHIPPED_PHANTOMS, directory)
    stranger = np.asarray(Image.fromarray(strangers()["rings"]).resize((256, 256)))
    assert (64, 64) == Classifier.load(directory).prepare(stranger).shape

    card = model_directory.read_card(directory)
    check_card = FilmCheckCard(sha256=check.save(directory / FILM_CHECK_FILE), rejections={})
    card = card.model_copy(update={"film_check": check_card})
    (directory / model_directory.CARD_FILE).write_text(card.model_dump_json())
    classifier = Classifier.load(directory)

    assert (64, 64) == classifier.prepare(draw("Effusions", 3)).shape
    with pytest.raises(RejectedImage):
        classifier.prepare(stranger)
