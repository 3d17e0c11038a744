"""What a picture file says of itself before it is decoded, and how much memory its decoding takes."""

from dataclasses import dataclass

from PIL import ImageFile

from worker.decoding.damage import damage_is_left_out

#: Bytes of a pixel in a decoder's memory, by Pillow's name for the kind of pixels: in Pillow's picture (one for grey
#: values and palettes, two for deep greys, else four), and in the arrays that are made of it. Measured.
BYTES_PER_PIXEL = {"1": 2, "L": 3, "P": 3, "I;16": 4, "I;16L": 4, "I;16B": 4, "I": 8, "F": 8, "RGB": 5, "CMYK": 5}
BYTES_OF_ALPHA = 6
#: In Pillow's picture alone.
STORED_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
STORED_BYTES_OF_COLOUR = 4
#: libwebp has two canvases, and Pillow copies one of them twice.
BYTES_OF_WEBP = 17
WEBP_HEADER_BYTES, WEBP_SIDE = 30, 0x3FFF
#: Pillow may have a second picture, for the next frame.
BYTES_OF_GIF = 4
#: TIFF's tags.
PHOTOMETRIC, ROWS_PER_STRIP, TILE_WIDTH, TILE_HEIGHT = 262, 278, 322, 323
Y_CB_CR = 6
EXIF_ORIENTATION, UPRIGHT = 274, 1
RUN_LENGTH_DECODER = "bmp_rle"


@dataclass(frozen=True)
class PictureHeader:
    """What a picture file says of itself before it is decoded."""

    #: Pillow's name for the format.
    format: str
    width: int
    height: int
    #: Bytes that decoding takes for each pixel, at most; not for JPEG, which is decoded at a reduced scale.
    bytes_per_pixel: int
    #: Bytes of the piece that a TIFF is decoded in, besides the picture.
    piece_bytes: int
    is_run_length_coded: bool


def read_header(image: ImageFile.ImageFile) -> PictureHeader:
    """Return the header of an opened picture. Calls Pillow, which may raise anything."""
    width, height = map(int, image.size)
    kind, mode = str(image.format), str(image.mode)
    stored = STORED_BYTES.get(mode, STORED_BYTES_OF_COLOUR)
    per_pixel, piece_bytes = BYTES_PER_PIXEL.get(mode, BYTES_OF_ALPHA), 0
    if kind == "WEBP":
        per_pixel = BYTES_OF_WEBP
    elif kind == "GIF":
        per_pixel = BYTES_OF_GIF
    elif kind == "TIFF":
        piece_bytes = _piece_pixels(image, width, height) * stored
        per_pixel += stored * _is_turned(image)  # Pillow turns a copy.
    is_run_length_coded = any(tile.codec_name == RUN_LENGTH_DECODER for tile in image.tile)
    return PictureHeader(kind, width, height, per_pixel, piece_bytes, is_run_length_coded)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP, None for anything else, and for one that no decoder reads.

    libwebp makes room for the whole picture when it opens a file, so its size must be known before.
    """
    if len(data) < WEBP_HEADER_BYTES or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    match data[12:16]:
        case b"VP8X":  # Flags, then three bytes for each side, less one.
            return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        case b"VP8L":  # A signature, then 14 bits for each side, less one.
            sides = int.from_bytes(data[21:25], "little")
            return (sides & WEBP_SIDE) + 1, (sides >> 14 & WEBP_SIDE) + 1
        case b"VP8 ":  # A frame's tag and start code, then 14 bits for each side, and its scale.
            return int.from_bytes(data[26:28], "little") & WEBP_SIDE, int.from_bytes(data[28:30], "little") & WEBP_SIDE
        case _:
            return None


def _piece_pixels(image: ImageFile.ImageFile, width: int, height: int) -> int:
    """Return the pixels of a tile, or of a strip of a kind that libtiff decodes as a whole."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if TILE_WIDTH in tags:
        return int(tags[TILE_WIDTH]) * int(tags[TILE_HEIGHT])
    if tags.get(PHOTOMETRIC) == Y_CB_CR:
        return width * min(height, int(tags.get(ROWS_PER_STRIP, height)))
    return 0


def _is_turned(image: ImageFile.ImageFile) -> bool:
    with damage_is_left_out():
        return bool(image.getexif().get(EXIF_ORIENTATION, UPRIGHT) != UPRIGHT)
    return False
