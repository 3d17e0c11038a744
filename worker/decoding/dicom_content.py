"""Rejects a DICOM file whose attributes say that it is not one grey frontal chest film, made to be looked at.

Codes are judged before words, because they are the same in every language. Words are compared without accents, in the
languages in which senders write them.
"""

import re
import unicodedata

from pydicom import Dataset

from worker.decoding.dicom_attributes import integer, items, required_integer, text
from worker.errors import Reason, RejectedImage

MODALITIES = frozenset({"CR", "DX"})
INVERTED = "MONOCHROME1"
GREY = frozenset({INVERTED, "MONOCHROME2"})
RAW_SOP_CLASS, RAW_INTENT = "1.2.840.10008.5.1.4.1.1.1.1.1", "FOR PROCESSING"

#: Parts of the names that senders give to the chest.
CHEST = (
    "CHEST", "CHST", "THORA", "TORAX", "TORAC", "TORAK", "THX", "LUNG", "CXR", "PULMO", "PULMAO", "POUMON",
    "POLMON", "BRUST", "BORST", "BROST", "BRYST", "RINTAKEH", "KEUHKO", "POITRINE", "PECHO", "PEITO", "PETTO",
    "HRUDNIK", "PIERS", "MELLKAS", "GOGUS", "AKCIGER", "NGUC", "ΘΩΡΑ", "ГРУД", "ЛЕГК", "胸", "肺", "흉부", "صدر", "חזה",
)  # fmt: skip
#: Parts of names that have one of those words in them, or stand beside it, and mean another part of the body.
NOT_CHEST = (
    "SPIN", "LUMB", "LOMB", "CERVICOTHOR", "VERTEB", "WIRBEL", "WERVEL", "RACHIS", "COLUM", "COLUN", "COLON",
    "KREGOS", "PATER", "SELKARANK", "KRALJEZ", "ПОЗВОН", "ΣΠΟΝΔ", "脊", "椎", "척추", "BRUSTBEIN", "BRUSTDRUSE",
    "BORSTBEEN", "BROSTBEN", "BRYSTBEN",
)  # fmt: skip
#: Words that state nothing; neither does a value without a letter.
UNSTATED = frozenset({
    "UNKNOWN", "UNK", "OTHER", "OTHERS", "NONE", "UNSPECIFIED", "UNDEFINED", "UNDEF", "UNSPEC", "DEFAULT", "NA",
    "NIL", "NULL", "ANY", "MISC", "VARIOUS", "X", "XX", "XXX", "NOTSPECIFIED", "NOTAPPLICABLE", "NOTDEFINED",
    "UNBEKANNT", "SONSTIGE", "INCONNU", "AUTRE", "DESCONOCIDO", "OTRO", "SCONOSCIUTO", "ALTRO", "DESCONHECIDO",
    "OUTRO", "ONBEKEND",
})  # fmt: skip
#: Codes of SNOMED, and the older ones of SRT, for chest, lungs, heart and mediastinum, and chest with neck or abdomen.
CHEST_CODES = frozenset({
    "816094009", "51185008", "39607008", "74101002", "80891009", "72410000", "43799004", "416550000", "416775004",
    "416152001", "416319003", "417437006", "302551006", "181216001", "T-D3000", "T-28000", "T-32000", "T-D3300",
    "R-FAB52", "R-FAB53", "R-FAB54", "R-FAB55", "R-FAB56",
})  # fmt: skip
#: Designators of SNOMED, which has one code for each region.
SNOMED = frozenset({"SCT", "SRT", "SNM3", "99SDM"})

#: Lateral (left, right) and oblique views: DICOM's defined terms, and abbreviations of senders.
NOT_FRONTAL = frozenset({"LL", "RL", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBL", "SEITE", "YAN"})
LATERAL_ABBREVIATION = re.compile("(CHEST|THORAX|L|R|LT|RT|LEFT|RIGHT|LI|RE|LINKS|RECHTS)?LAT(L|R|LT|RT|LEFT|RIGHT)?")
#: How the words for such views begin, wherever they begin; LATERA also stands in BILATERAL.
NOT_FRONTAL_WORDS = re.compile(
    "(?<!BI)(?<!UNI)LATERA|LATERO|OBLI|\\b(SEITL|SEITEN|SCHRAG|SCHRAEG|PROFIL|PERFIL|ZIJ|DWARS|BOCZN|BOCN|SKOSN|SIDEBIL"
    "|SIDOBIL|SIVUKUV|OLDAL|NGHIENG|БОК|КОСА|ЛАТЕР|ΠΛΑΓΙ)|侧|側|斜|측면|사위|جانب|צד"
)
#: A decubitus film is frontal, though it is called lateral.
STILL_FRONTAL = re.compile("DECUB|DEKUB")
#: Lateral and oblique projections of DICOM's CID 4010 and 26 in SNOMED and in the older SRT.
NOT_FRONTAL_CODES = frozenset({
    "399067008", "399173006", "399198007", "399118008", "399297009", "399352003", "399260004", "30730003",
    "399182000", "399184004", "399236003", "399135007", "399356000", "399006002", "399038007", "399312000",
    "399059000", "399160007", "260426006", "260427002", "399099002", "399368009", "399004004", "399132005",
    "399325008", "399225005", "399288005", "R-102CD", "R-10236", "R-10232", "G-5223", "G-5222", "R-10228",
    "R-10224", "G-A145", "R-102C1", "R-10238", "R-10234", "R-10220", "R-40985", "R-10212", "R-10210", "R-10208",
    "R-10216", "R-10204", "R-40782", "R-40783", "R-10230", "R-10226", "R-10246", "R-10252", "R-10254", "R-10250",
    "R-10248",
})  # fmt: skip
#: The same for frontal, antero-posterior and postero-anterior projections; their meaning may be in any language.
FRONTAL_CODES = frozenset({
    "399033003", "399348003", "272479007", "399061009", "R-10202", "R-10206", "R-10214", "R-40888", "R-10241",
})  # fmt: skip
#: The rows of a lateral film run towards the front or the back of the patient.
LATERAL_ROWS = ("A", "P")


def check_content(film: Dataset) -> None:
    """Reject what is not one grey frontal chest film.

    Raises:
        RejectedImage: wrong_modality, for_processing, wrong_body_part, not_frontal, several_frames, colour or corrupt.
    """
    if text(film, "Modality") not in MODALITIES:
        raise RejectedImage(Reason.WRONG_MODALITY, "the modality is not CR or DX")
    if text(film, "SOPClassUID") == RAW_SOP_CLASS or text(film, "PresentationIntentType") == RAW_INTENT:
        raise RejectedImage(Reason.FOR_PROCESSING, "raw values for processing; send the film for presentation")
    if not _is_chest(film):
        raise RejectedImage(Reason.WRONG_BODY_PART, "the body part is not the chest")
    if not _is_frontal(film):
        raise RejectedImage(Reason.NOT_FRONTAL, "a lateral or oblique view")
    frames = integer(film, "NumberOfFrames") or 1
    if frames != 1:
        raise RejectedImage(Reason.SEVERAL_FRAMES, f"{frames} frames; a film is one")
    if required_integer(film, "SamplesPerPixel") != 1 or text(film, "PhotometricInterpretation") not in GREY:
        raise RejectedImage(Reason.COLOUR, "the picture is in colours")


def _is_chest(film: Dataset) -> bool:
    """Tell whether every statement about the body part names the chest, or states nothing."""
    regions = items(film, "AnatomicRegionSequence")
    part = _plain(text(film, "BodyPartExamined"))
    if any(_has(NOT_CHEST, name) for name in (part, *(_plain(text(region, "CodeMeaning")) for region in regions))):
        return False
    if any(text(region, "CodeValue") in CHEST_CODES for region in regions):
        return True
    if any(text(region, "CodingSchemeDesignator") in SNOMED and not _names_chest(region) for region in regions):
        return False
    return _is_unstated(part) or _has(CHEST, part)


def _names_chest(region: Dataset) -> bool:
    return _has(CHEST, _plain(text(region, "CodeMeaning")))


def _has(names: tuple[str, ...], value: str) -> bool:
    return any(name in value for name in names)


def _is_unstated(value: str) -> bool:
    """Tell whether a value has no letter, or a word that stands for nothing."""
    letters = "".join(filter(str.isalpha, value))
    return not letters or letters in UNSTATED


def _is_frontal(film: Dataset) -> bool:
    """Tell whether no statement about the view names a lateral or oblique one."""
    views = [text(film, "ViewPosition")]
    for code in items(film, "ViewCodeSequence"):
        value = text(code, "CodeValue")
        if value in NOT_FRONTAL_CODES:
            return False
        views.append("AP" if value in FRONTAL_CODES else text(code, "CodeMeaning"))
    if any(_is_not_frontal(_plain(view)) for view in views):
        return False
    return not (all(map(_is_unstated, views)) and text(film, "PatientOrientation").startswith(LATERAL_ROWS))


def _is_not_frontal(view: str) -> bool:
    if STILL_FRONTAL.search(view):
        return False
    words = re.findall(r"[^\W\d_]+", view)
    return bool(NOT_FRONTAL_WORDS.search(view)) or any(
        word in NOT_FRONTAL or LATERAL_ABBREVIATION.fullmatch(word) for word in words
    )


def _plain(value: str) -> str:
    """Return upper-case text without accents, with one space for what separates words."""
    parts = unicodedata.normalize("NFKD", value.replace("Ł", "L").replace("Ø", "O"))
    letters = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return re.sub(r"[\s_^\\/.-]+", " ", unicodedata.normalize("NFC", letters)).strip()
