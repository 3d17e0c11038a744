"""Takes from a DICOM film what identifies a patient: only the attributes that are listed here stay.

An allow list, since senders put names into every attribute, standard and private. Pixel data is copied as it stands;
what follows it is cut off. The preamble is emptied, and the file meta information is written anew.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from worker.films.dicom_elements import ITEM, PIXEL_DATA, DamagedElements, Element, Walk
from worker.inputs.dicomdir import DIRECTORY_UID, is_dicomdir

MAGIC, MAGIC_POSITION = b"DICM", 128
#: How a data set without preamble begins, which the worker does not read: group 0002 or 0008, in either byte order.
BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
#: No value fits into the first element's tag, VR and length.
BARE_BYTES = 8
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

NOTHING: frozenset[int] = frozenset()
#: What stays: what the worker reads of a film (`worker.decoding.dicom`), and of a sequence what it reads of an item.
KEPT: Mapping[int, frozenset[int]] = {
    **dict.fromkeys(
        (
            0x00080005,  # SpecificCharacterSet
            0x00080016,  # SOPClassUID
            0x00080060,  # Modality
            0x00080068,  # PresentationIntentType
            0x00180015,  # BodyPartExamined
            0x00185101,  # ViewPosition
            0x00200020,  # PatientOrientation
            0x00280002,  # SamplesPerPixel
            0x00280004,  # PhotometricInterpretation
            0x00280008,  # NumberOfFrames
            0x00280010,  # Rows
            0x00280011,  # Columns
            0x00280100,  # BitsAllocated
            0x00280101,  # BitsStored
            0x00280102,  # HighBit
            0x00280103,  # PixelRepresentation
            0x00280120,  # PixelPaddingValue
            0x00280121,  # PixelPaddingRangeLimit
            0x00281050,  # WindowCenter
            0x00281051,  # WindowWidth
            0x00281052,  # RescaleIntercept
            0x00281053,  # RescaleSlope
            0x00281056,  # VOILUTFunction
            PIXEL_DATA,
        ),
        NOTHING,
    ),
    # AnatomicRegionSequence and ViewCodeSequence: CodeValue, CodingSchemeDesignator, CodeMeaning.
    0x00082218: frozenset({0x00080100, 0x00080102, 0x00080104}),
    0x00540220: frozenset({0x00080100, 0x00080102, 0x00080104}),
    # ModalityLUTSequence and VOILUTSequence: LUTDescriptor, LUTData.
    0x00283000: frozenset({0x00283002, 0x00283006}),
    0x00283010: frozenset({0x00283002, 0x00283006}),
}

#: The longest value that is read for a caller; the longest name of DICOM has about 600 bytes.
MAX_VALUE_BYTES = 1024
#: Deflate makes a film half or a quarter as long. More than this would fill the archive with small uploads.
MAX_INFLATION = 16
MIN_INFLATED_BYTES = 2 * 2**20
#: A sequence that stays describes a table of at most 65,536 values of two bytes, or a view.
MAX_SEQUENCE_BYTES = 2**20
#: This program as the writer of a file; made from a UUID (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.206371836124213447262311583212463906389"

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
MAX_UID = 64
#: Stands for a transfer syntax that is no UID; it is none that anybody reads.
UNKNOWN = "2.25.0"

TRANSFER_SYNTAX = 0x00020010
SOP_CLASS = 0x00080016
META_END = 0x0002FFFF

#: The path of a value: its tag, or the tag of a sequence and that of an element of its first item.
Path = tuple[int, ...]


@dataclass(frozen=True)
class Split:
    """A film without its identity, and the values that were asked for, as bytes without padding."""

    #: A DICOM file.
    film: bytes
    #: Only values that are present; those longer than `MAX_VALUE_BYTES` are left out.
    values: Mapping[Path, bytes]


def is_dicom(data: bytes) -> bool:
    """Tell whether bytes are a DICOM file; one without its preamble is not recognised."""
    return data.startswith(MAGIC, MAGIC_POSITION)


def may_identify(data: bytes) -> bool:
    """Tell whether a file that begins with these bytes is stored without some of them, as every DICOM file is."""
    return is_dicom(data) or data.startswith(BARE_STARTS)


def deidentified(data: bytes, max_bytes: int) -> bytes:
    """Return a file to be stored, as `deidentified_pieces` does, in one piece."""
    return b"".join(deidentified_pieces(data, max_bytes))


def deidentified_pieces(data: bytes, max_bytes: int) -> Sequence[bytes | memoryview]:
    """Return a file to be stored: a DICOM file without what identifies a patient, a picture as it is.

    The same file gives the same bytes. The film in it is read as before. What cannot be walked is left out, so that
    the worker rejects it as corrupt. A DICOM file without its preamble is cut off, since the worker does not read it.
    The pixels are a view of `data`, which takes no memory of its own.

    Args:
        data: the bytes of the file.
        max_bytes: the most bytes to which a deflated file may grow.
    """
    if not is_dicom(data):
        return [data[:BARE_BYTES] if data.startswith(BARE_STARTS) else data]
    if is_dicomdir(data):  # The worker names it as such; its records have names of patients.
        return _file(EXPLICIT, DIRECTORY_UID, ())
    meta = Walk(data, is_implicit=False, at=MAGIC_POSITION + len(MAGIC))
    syntax = None
    try:
        found = {element.tag: element.value for element in meta.elements(last_tag=META_END)}
        if TRANSFER_SYNTAX in found:
            syntax = uid(bytes(found[TRANSFER_SYNTAX])) or UNKNOWN
            return _divided(data, syntax, (), max_bytes, at=meta.at)[0]
    except DamagedElements:
        pass
    return _file(syntax, b"", ())


def split(data_set: bytes, syntax: str, wanted: tuple[Path, ...], max_bytes: int) -> Split:
    """Divide a data set into the film, as a DICOM file, and the values that are wanted.

    Args:
        data_set: its bytes, in `syntax`.
        syntax: the UID of its transfer syntax; a deflated film is stored inflated.
        wanted: the paths of the values.
        max_bytes: the most bytes to which a deflated data set may grow.

    Raises:
        DamagedElements: the data set cannot be walked.
    """
    film, values = _divided(data_set, syntax, wanted, max_bytes)
    return Split(b"".join(film), values)


def _divided(
    data: bytes, syntax: str, wanted: tuple[Path, ...], max_bytes: int, *, at: int = 0
) -> tuple[list[bytes | memoryview], Mapping[Path, bytes]]:
    """Return the pieces of a film, and the values that are wanted, of the data set that begins at `at`."""
    if syntax == DEFLATED:
        data, syntax, at = _inflated(memoryview(data)[at:], max_bytes), EXPLICIT, 0
    walk = Walk(data, is_implicit=syntax == IMPLICIT, byte_order=">" if syntax == BIG_ENDIAN else "<", at=at)
    paths = {(SOP_CLASS,), *wanted}
    asked = {path[0] for path in paths}
    pieces: list[bytes | memoryview] = []
    values: dict[Path, bytes] = {}
    for element in walk.elements(last_tag=PIXEL_DATA):
        if element.tag in KEPT:
            pieces += _kept(element, walk)
        if element.tag in asked:
            values |= _values(element, walk, paths)
        if element.tag == PIXEL_DATA:
            break
    return _file(syntax, values.get((SOP_CLASS,), b""), pieces), values


def _kept(element: Element, walk: Walk) -> list[bytes | memoryview]:
    """Return the pieces of an element that stays; of a sequence, its items with what stays of them."""
    inner = KEPT[element.tag]
    if not inner:
        return element.with_value(element.value, walk.byte_order)
    if len(element.value) > MAX_SEQUENCE_BYTES:
        raise DamagedElements("a sequence is too long for what it describes")
    items = []
    for item in walk.items(element):
        kept = [piece for part in item if part.tag in inner for piece in part.with_value(part.value, walk.byte_order)]
        content = b"".join(kept)
        items.append(struct.pack(walk.byte_order + "HHL", ITEM >> 16, ITEM & 0xFFFF, len(content)) + content)
    return element.with_value(b"".join(items), walk.byte_order)


def _values(element: Element, walk: Walk, paths: AbstractSet[Path]) -> dict[Path, bytes]:
    """Return the wanted values of an element; none where they cannot be read, since the film does not need them."""
    if (element.tag,) in paths:
        return _short({(element.tag,): element})
    try:
        item = next(iter(walk.items(element)), [])
    except DamagedElements:
        return {}
    return _short({path: part for part in item if (path := (element.tag, part.tag)) in paths})


def _short(elements: Mapping[Path, Element]) -> dict[Path, bytes]:
    return {
        path: bytes(element.value).strip(b" \0")
        for path, element in elements.items()
        if len(element.value) <= MAX_VALUE_BYTES
    }


def _file(syntax: str | None, sop_class: bytes, data_set: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return the pieces of a file: an empty preamble, the file meta information (PS3.10 section 7.1), the data set."""
    meta = struct.pack("<HH2sHLH", 2, 1, b"OB", 0, 2, 0x0100)
    for number, text in ((2, uid(sop_class)), (0x10, syntax), (0x12, IMPLEMENTATION_CLASS_UID)):
        if text:
            value = text.encode()
            value += b"\0" * (len(value) % 2)
            meta += struct.pack("<HH2sH", 2, number, b"UI", len(value)) + value
    length = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta))
    return [bytes(MAGIC_POSITION), MAGIC, length, meta, *data_set]


def uid(value: bytes) -> str | None:
    """Return a UID as text; None if it is none."""
    text = value.strip(b" \0").decode("ascii", "replace")
    return text if len(text) <= MAX_UID and _UID.fullmatch(text) else None


def _inflated(deflated: memoryview, max_bytes: int) -> bytes:
    max_bytes = min(max_bytes, max(MIN_INFLATED_BYTES, MAX_INFLATION * len(deflated)))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, max_bytes)
    except zlib.error as error:
        raise DamagedElements("the deflated data set is damaged") from error
    if inflater.unconsumed_tail:
        raise DamagedElements(f"inflated, more than {max_bytes} bytes")
    return inflated
