"""The findings of a study as a picture (DICOM Secondary Capture), for viewers that do not show structured reports."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pydicom.valuerep import DA, TM

from worker import NOTICE
from worker.hospital.object_header import (
    MANUFACTURER,
    SERIES_DESCRIPTION,
    ObjectIds,
    put_identity,
)
from worker.hospital.reported_study import ReportedStudy
from worker.models.operating_points import Decision

SERIES_NUMBER: Final = 9902
#: The side of the square for the film, the width of the column of figures beside it, and its margin, in pixels.
FILM_PIXELS, COLUMN_PIXELS, MARGIN = 900, 520, 24
TITLE_POINTS, TEXT_POINTS, SMALL_POINTS = 30, 22, 17
ROW_PIXELS, BAR_PIXELS = 58, 10
BLACK, WHITE, GREY, HEAT_COLOUR, BAR_COLOUR = (0, 0, 0), (255, 255, 255), (160, 160, 160), (255, 64, 0), (90, 160, 220)
#: How much of the film the strongest heat covers, out of 255.
STRONGEST_HEAT = 150
#: More findings than this do not fit beside the film; the most probable ones are shown.
MAX_ROWS = 12
MAX_NAME_CHARACTERS = 26
#: Reasons of rejected films that are listed.
MAX_REASONS = 3


@dataclass(frozen=True)
class ShownFilm:
    """The film on the picture: the one that decides about the leading finding."""

    #: 8-bit grey, of any size.
    film: Image.Image
    #: The evidence for the leading finding, 8-bit grey with the proportions of the film; None where there is none.
    heat: Image.Image | None


def summary_picture(study: ReportedStudy, shown: ShownFilm, ids: ObjectIds) -> Dataset:
    """Return the picture of a study, with file meta information."""
    pixels = np.asarray(draw(study, shown))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(ids.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    picture = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    put_identity(picture, study.identity)
    _describe(picture, study, ids)
    picture.Rows, picture.Columns = pixels.shape[:2]
    picture.SamplesPerPixel, picture.PhotometricInterpretation, picture.PlanarConfiguration = 3, "RGB", 0
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    picture.PixelData = pixels.tobytes()
    picture["PixelData"].VR = "OB"
    return picture


def _describe(picture: Dataset, study: ReportedStudy, ids: ObjectIds) -> None:
    """Give the picture its series, equipment, time and source films."""
    picture.SOPClassUID, picture.SOPInstanceUID = SecondaryCaptureImageStorage, ids.sop_instance_uid
    picture.Modality, picture.SeriesInstanceUID, picture.SeriesNumber = "OT", ids.series_instance_uid, SERIES_NUMBER
    picture.SeriesDescription, picture.InstanceNumber = SERIES_DESCRIPTION, 1
    picture.Manufacturer, picture.ManufacturerModelName = MANUFACTURER, study.model.network[:64]
    picture.SoftwareVersions = study.model.version
    picture.ConversionType, picture.BurnedInAnnotation = "WSD", "YES"
    picture.ImageType = ["DERIVED", "SECONDARY"]
    # Without it, validators want a laterality.
    picture.BodyPartExamined = "CHEST"
    picture.PatientOrientation = None
    moment = study.finished_at
    picture.ContentDate = picture.InstanceCreationDate = DA(moment.date())
    picture.ContentTime = picture.InstanceCreationTime = TM(moment.time())
    sources = []
    for film in study.scored:
        item = Dataset()
        item.ReferencedSOPClassUID = film.identity.sop_class_uid.decode("ascii")
        item.ReferencedSOPInstanceUID = film.identity.sop_instance_uid.decode("ascii")
        sources.append(item)
    picture.SourceImageSequence = Sequence(sources)


def draw(study: ReportedStudy, shown: ShownFilm) -> Image.Image:
    """Return the picture: the film with its heat map on the left, the figures on the right; RGB."""
    canvas = Image.new("RGB", (FILM_PIXELS + COLUMN_PIXELS, FILM_PIXELS), BLACK)
    film = _film(shown)
    canvas.paste(film, ((FILM_PIXELS - film.width) // 2, (FILM_PIXELS - film.height) // 2))
    pen = ImageDraw.Draw(canvas)
    left, top = FILM_PIXELS + MARGIN, MARGIN
    _write(pen, (left, top), MANUFACTURER, TITLE_POINTS)
    _write(pen, (left, top + 44), NOTICE, SMALL_POINTS, HEAT_COLOUR)
    top += 92
    for decision in study.decisions[:MAX_ROWS]:
        _row(pen, (left, top), decision)
        top += ROW_PIXELS
    for line in _notes(study, shown):
        _write(pen, (left, top + 12), line, SMALL_POINTS, GREY)
        top += 26
    return canvas


def _film(shown: ShownFilm) -> Image.Image:
    """Return the film in the size of its square, with the heat laid over it."""
    film = shown.film.convert("L")
    scale = FILM_PIXELS / max(film.size)
    size = (max(1, round(film.width * scale)), max(1, round(film.height * scale)))
    colour = film.resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if shown.heat is not None:
        veil = shown.heat.convert("L").resize(size, Image.Resampling.BICUBIC)
        mask = veil.point([value * STRONGEST_HEAT // 255 for value in range(256)])
        colour.paste(Image.new("RGB", size, HEAT_COLOUR), (0, 0), mask)
    return colour


def _row(pen: ImageDraw.ImageDraw, at: tuple[int, int], decision: Decision) -> None:
    """Write one finding: its name, its probability, the decision, and a bar."""
    left, top = at
    width = COLUMN_PIXELS - 2 * MARGIN
    name = decision.finding
    if len(name) > MAX_NAME_CHARACTERS:
        name = f"{name[: MAX_NAME_CHARACTERS - 1]}…"
    _write(pen, (left, top), name, TEXT_POINTS)
    _write(pen, (left + width * 60 // 100, top), f"{100 * decision.probability:.1f} %", TEXT_POINTS)
    _write(pen, (left + width * 78 // 100, top + 4), decision.call.value, SMALL_POINTS - 3, GREY)
    bar = (left, top + 32, left + width, top + 32 + BAR_PIXELS)
    pen.rectangle(bar, outline=GREY)
    pen.rectangle((*bar[:2], left + round(width * decision.probability), bar[3]), fill=BAR_COLOUR)


def _notes(study: ReportedStudy, shown: ShownFilm) -> list[str]:
    """Return the lines below the figures."""
    films = len(study.scored)
    notes = [
        f"Model {study.model.version}",
        f"Trained on {study.model.trained_on}",
        f"{films} film{'s' * (films > 1)} scored",
    ]
    notes += [f"1 film rejected: {reason}" for reason in study.rejected[:MAX_REASONS]]
    if (more := len(study.rejected) - MAX_REASONS) > 0:
        notes.append(f"{more} more rejected")
    if shown.heat is not None:
        notes.append(f"Colour: evidence for {study.leading.finding}")
    notes.append(study.finished_at.strftime("%Y-%m-%d %H:%M %Z"))
    return notes


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, points: int, colour: tuple[int, int, int] = WHITE
) -> None:
    pen.text(at, text, fill=colour, font=ImageFont.load_default(points))
