"""The picture shows the film, where the evidence is, the figures and that they are for research."""

import io
from dataclasses import replace

import numpy as np
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage
from reported import decisions, identity, ids, shown, study

from worker.hospital.summary_picture import FILM_PIXELS, MAX_ROWS, draw, summary_picture


def read(picture):
    buffer = io.BytesIO()
    picture.save_as(buffer, enforce_file_format=True)
    return dcmread(io.BytesIO(buffer.getvalue())), buffer.getvalue()


def test_it_is_a_colour_picture_in_the_study_of_the_film():
    """Any viewer shows a Secondary Capture."""
    picture, data = read(summary_picture(study(), shown(), ids()))

    assert (SecondaryCaptureImageStorage, "WSD", "YES", "CHEST", "RGB") == (
        picture.SOPClassUID, picture.ConversionType, picture.BurnedInAnnotation, picture.BodyPartExamined,
        picture.PhotometricInterpretation,
    )  # fmt: skip
    assert ("1.2.3", "4711") == (picture.StudyInstanceUID, picture.PatientID)
    assert "Müller^Jörg".encode("latin-1") in data
    assert (FILM_PIXELS, 3) == (picture.pixel_array.shape[0], picture.pixel_array.shape[2])
    assert "1.2.3.1.1" == picture.SourceImageSequence[0].ReferencedSOPInstanceUID
    assert data == read(summary_picture(study(), shown(), ids()))[1]


def test_the_heat_lies_on_its_place():
    """The evidence of the rig is in the upper left quarter of a film that is wider than high."""
    pixels = np.asarray(draw(study(), shown())).astype(int)
    top = (FILM_PIXELS - FILM_PIXELS * 3 // 4) // 2
    redness = pixels[:, :FILM_PIXELS, 0] - pixels[:, :FILM_PIXELS, 2]

    assert 80 < redness[top + 20 : top + 300, 20:400].min()
    assert 0 == redness[top + 400 : top + 660, 500:880].max()
    without = np.asarray(draw(study(), shown(heat=False)))[:, :FILM_PIXELS]
    assert (without[top + 20 : top + 600] == 100).all()
    assert 0 == without[: top - 5].max()


def test_it_changes_with_the_figures_the_model_and_the_rejected_films():
    """They are written on it."""
    plain = draw(study(), shown())
    others = [
        draw(replace(study(), decisions=decisions({"Effusions": 0.5})), shown()),
        draw(study(rejected=("not_frontal",)), shown()),
        draw(study(identity(), identity()), shown()),
        draw(study(model=replace(study().model, trained_on="phantoms")), shown()),
    ]

    assert all(plain.tobytes() != other.tobytes() for other in others)


def test_many_findings_and_long_names_fit():
    """A card may have 200 classes with names of 100 characters."""
    many = {f"{index} {'x' * 100}": 1 / (index + 1) for index in range(200)}

    pixels = np.asarray(draw(replace(study(), decisions=decisions(many)), shown(heat=False)))

    assert 0 == pixels[:, -5:].max()
    assert MAX_ROWS < 200
