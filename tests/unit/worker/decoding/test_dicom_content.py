"""What a DICOM file says of itself: body part, view and purpose, in codes and in the words of several languages."""

import numpy as np
import pytest
from dicom_films import FILM, code, dicom_file, rewritten
from pydicom import Sequence

from worker.decoding import decode
from worker.errors import Reason, RejectedImage


def outcome(**changes) -> Reason | None:
    """Return why a film with these attributes is rejected, None if it is read."""
    try:
        film = decode(dicom_file(**changes))
    except RejectedImage as error:
        return error.reason
    assert np.array_equal(FILM, film)
    return None


def written(**changes) -> bytes:
    """Return a film whose attribute has bytes that pydicom does not write into a code string."""
    ((keyword, value),) = changes.items()
    placeholder = "Q" * len(value)
    return rewritten(dicom_file(**{keyword: placeholder}), placeholder.encode(), value)


@pytest.mark.parametrize(
    "part",
    [
        "CHEST", "PORT CHEST", "CHST", "THORAX", "TORAX", "TORACE", "BRUST", "BRUSTKORB", "POITRINE", "PECHO", "PEITO",
        "KLATKA PIERSIOWA", "HRUDNIK", "MELLKAS", "BROSTKORG", "CHEST_ABDOMEN", "THX PA", "LUNGE", "POUMONS",
    ],
)  # fmt: skip
def test_the_chest_has_many_names(part):
    """Senders write the words of their language."""
    assert outcome(BodyPartExamined=part) is None


@pytest.mark.parametrize("part", ["TÓRAX", "GÖĞÜS", "ГРУДНАЯ КЛЕТКА", "胸部", "흉부"])
def test_the_chest_has_names_in_other_letters(part):
    """Their length is made even, as DICOM has it."""
    raw = part.encode()
    assert np.array_equal(FILM, decode(written(BodyPartExamined=raw + b" " * (len(raw) % 2))))


@pytest.mark.parametrize(
    "part", ["", "-", "--", "N/A", "ANY", "UNDEFINED", "UNKNOWN", "NOT SPECIFIED", "UNBEKANNT", "?"]
)
def test_what_states_no_body_part_rejects_nothing(part):
    """A missing statement is no other body part."""
    assert outcome(BodyPartExamined=part) is None


@pytest.mark.parametrize(
    "part",
    [
        "HAND", "THORACIC SPINE", "TSPINE", "THORACOLUMBAR", "COLUMNA TORACICA", "BRUSTWIRBEL", "RACHIS THORAX",
        "BRUSTBEIN", "COLONNA TORACICA", "ABDOMEN", "BORSTWERVELS",
    ],
)  # fmt: skip
def test_a_spine_beside_the_chest_is_no_chest(part):
    """One word of the name is the chest's, and another one says what is meant."""
    assert Reason.WRONG_BODY_PART == outcome(BodyPartExamined=part)


@pytest.mark.parametrize(
    ("reason", "region"),
    [
        (None, code("816094009", "Brustkorb")),
        (None, code("T-D3000", "Chest", "SRT")),
        (None, code("51185008", "ทรวงอก")),
        (None, code("X1", "Thorax", "99VENDOR")),
        (None, code("X1", "Something", "99VENDOR")),
        (Reason.WRONG_BODY_PART, code("122495006", "Thoracic spine")),
        (Reason.WRONG_BODY_PART, code("T-11502", "Brustwirbel", "SRT")),
        (Reason.WRONG_BODY_PART, code("85562004", "Hand")),
    ],
)
def test_a_coded_region_counts_as_the_body_part_does(reason, region):
    """SNOMED has one code for each region, whatever the language of its meaning."""
    assert reason == outcome(AnatomicRegionSequence=region)


LATERAL_VIEWS = [
    "LL", "RL", "LAT", "LEFT LAT", "L LAT", "R-LAT", "LAT L", "LATERAL", "LEFT_LATERAL", "LLAT", "LATL", "XTABLE LAT",
    "LATERALE", "LATERO LATERALE", "SEITLICH", "PROFIL", "PROFIL GAUCHE", "PERFIL", "BOCZNE", "DWARS", "ZIJDELINGS",
    "OBLIQUE", "OBLICUA", "RAO", "SCHRAEG", "LL STEHEND",
]  # fmt: skip


@pytest.mark.parametrize("view", LATERAL_VIEWS)
def test_a_lateral_film_is_known_by_the_words_of_its_sender(view):
    """Left, right and oblique, with the side before or after."""
    assert Reason.NOT_FRONTAL == outcome(ViewPosition=view)


@pytest.mark.parametrize("view", ["БОКОВАЯ", "侧位", "側面", "측면", "SCHRÄG", "BOČNÍ"])
def test_a_lateral_film_is_known_in_other_letters(view):
    """As UTF-8, which a code string may not have, and has."""
    raw = view.encode()
    with pytest.raises(RejectedImage) as rejected:
        decode(written(ViewPosition=raw + b" " * (len(raw) % 2)))
    assert Reason.NOT_FRONTAL == rejected.value.reason


@pytest.mark.parametrize(
    "view", ["PA", "AP", "AP SUPINE", "PA UPRIGHT", "LATERAL DECUBITUS", "L DECUB", "DEKUBITUS LAT", "BEDSIDE", "FLAT"]
)
def test_a_frontal_film_stays_frontal(view):
    """Also one of a patient who lies on the side."""
    assert outcome(ViewPosition=view) is None


@pytest.mark.parametrize(
    "view",
    [
        code("399173006", "sinistra"), code("399198007", ""), code("R-10236", "links anliegend", "SRT"),
        code("R-102CD", "", "SNM3"), code("399182000", "skośne"), code("1", "left lateral", "99VENDOR"),
        code("2", "Seitlich", "99VENDOR"), code("30730003", "x"),
    ],
)  # fmt: skip
def test_a_lateral_film_is_known_by_its_code(view):
    """In any language, by SNOMED, by the older SRT, and by the words of a sender's own code."""
    assert Reason.NOT_FRONTAL == outcome(ViewCodeSequence=view)


@pytest.mark.parametrize(
    "view", [code("399348003", "Vorderseite"), code("272479007", ""), code("R-10206", "AP", "SRT"), code("9", "PA")]
)
def test_a_frontal_code_is_frontal(view):
    """Whatever its meaning is called."""
    assert outcome(ViewCodeSequence=view) is None


def test_the_codes_of_lateral_and_oblique_views_are_those_of_dicom():
    """CID 4010 of DICOM's part 16, as pydicom has it, in SNOMED and SRT."""
    from pydicom.sr._snomed_dict import mapping
    from pydicom.sr.codedict import codes

    from worker.decoding.dicom_content import FRONTAL_CODES, NOT_FRONTAL_CODES

    words = ("lateral", "oblique", "sagittal", "medial-")
    views = codes.cid4010.concepts.values()
    aside = {view.value for view in views if any(word in view.meaning.lower() for word in words)}

    assert aside | {mapping["SCT"][value] for value in aside} <= NOT_FRONTAL_CODES
    assert not FRONTAL_CODES & NOT_FRONTAL_CODES


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        (Reason.NOT_FRONTAL, {"PatientOrientation": ["P", "F"]}),
        (Reason.NOT_FRONTAL, {"PatientOrientation": ["A", "F"], "ViewPosition": "N/A"}),
        (None, {"PatientOrientation": ["L", "F"]}),
        (None, {"PatientOrientation": ["A", "F"], "ViewPosition": "PA"}),
    ],
)
def test_rows_from_back_to_front_are_a_lateral_film(reason, changes):
    """It tells where the view is not stated, and in no language."""
    assert reason == outcome(**changes)


@pytest.mark.parametrize(
    "changes",
    [{"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}, {"PresentationIntentType": "FOR PROCESSING"}],
)
def test_raw_values_are_rejected_by_a_reason_of_their_own(changes):
    """A detector's linear values look like no film that a network knows."""
    assert Reason.FOR_PROCESSING == outcome(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"ViewCodeSequence": Sequence([])},
        {"NumberOfFrames": "1"},
        {"PresentationIntentType": "FOR PRESENTATION"},
        {"AnatomicRegionSequence": Sequence([])},
    ],
)
def test_empty_statements_reject_nothing(changes):
    """They are as good as missing."""
    assert outcome(**changes) is None
