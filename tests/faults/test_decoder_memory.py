"""Files made to fill a decoder's memory: each is read or rejected below 512 MB, and the film beside it is scored."""

import contextlib
import dataclasses
import io
from pathlib import Path

import numpy as np
import psutil
import pytest
from dicom_films import dataset, dicom_file
from PIL import Image
from pydicom import dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from worker.decoding.limits import Limits
from worker.errors import Reason
from worker.films.decoder_memory import MAX_PROCESS_BYTES
from worker.films.decoder_pool import DecoderPool
from worker.films.phantoms import draw
from worker.films.preparation import Place, Preparation, Prepared, RejectedFilm

NO_LIMIT = 2**40


def drawn(side: int) -> np.ndarray:
    """Return a large picture that compresses well."""
    rows, columns = np.mgrid[0:side, 0:side]
    return ((columns // 40 + rows // 25) % 200).astype(np.uint8)


def picture(kind: str, side: int, mode: str = "L", **options) -> bytes:
    image, buffer = Image.fromarray(drawn(side)), io.BytesIO()
    if mode == "F":
        image = Image.fromarray(drawn(side).astype(np.float32))
    elif mode != "L":
        image = image.convert(mode)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def compressed(syntax, side: int) -> bytes:
    film = dataset(drawn(side).astype(np.uint16) * 16, bits=12)
    film.compress(syntax, generate_instance_uid=False)
    buffer = io.BytesIO()
    dcmwrite(buffer, film, enforce_file_format=True)
    return buffer.getvalue()


def jpeg_2000(side: int, **options) -> bytes:
    stream = picture("JPEG2000", side, no_jp2=True, irreversible=False, **options)
    return dicom_file(drawn(side), syntax=JPEG2000Lossless, PixelData=encapsulate([stream]))


HOSTILE = {
    "float TIFF": lambda: picture("TIFF", 8000, "F", compression="tiff_adobe_deflate"),
    "float TIFF below the limit": lambda: picture("TIFF", 6700, "F", compression="tiff_adobe_deflate"),
    "turned TIFF": lambda: picture("TIFF", 6600, "RGB", compression="tiff_lzw", tiffinfo={274: 6}),
    "WebP": lambda: picture("WEBP", 8000, lossless=True, quality=0, method=0),
    "WebP below the limit": lambda: picture("WEBP", 4600, lossless=True, quality=0, method=0),
    "GIF": lambda: picture("GIF", 8000),
    "RGBA": lambda: picture("PNG", 7700, "RGBA", compress_level=1),
    "progressive JPEG": lambda: picture("JPEG", 7600, "RGB", progressive=True),
    "62,500 tiles": lambda: jpeg_2000(8000, tile_size=(32, 32)),
    "many tiles": lambda: jpeg_2000(2000, tile_size=(16, 16)),
    "small code blocks": lambda: jpeg_2000(2900, codeblock_size=(4, 4)),
    "JPEG 2000": lambda: compressed(JPEG2000Lossless, 7200),
    "JPEG-LS": lambda: compressed(JPEGLSLossless, 8000),
    "RLE": lambda: compressed(RLELossless, 7000),
    "uncompressed": lambda: dicom_file(drawn(8000)),
}


@pytest.fixture
def preparation(tmp_path) -> Preparation:
    Image.fromarray(draw("Opacity", 1)).save(tmp_path / "film.png")
    return Preparation({"films": tmp_path}, Limits(), tmp_path / "previews", (64, 64), None)


def decoders_here() -> set[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return {child for child in children if "worker.films.decoder_process" in " ".join(child.cmdline())}


def outcomes(preparation, data: bytes) -> tuple[object, object, int]:
    """Return the outcome of a file and that of the film after it in one decoder, and the most memory that it had."""
    (preparation.roots["films"] / "hostile").write_bytes(data)
    places = [Place("films", "hostile", None), Place("films", "film.png", None)]
    before = decoders_here()
    with contextlib.closing(DecoderPool(1)) as decoders:
        first, second = (
            outcome for part in decoders.prepare(places, preparation, preview=True) for outcome in part.result()
        )
        (decoder,) = decoders_here() - before
        status = Path(f"/proc/{decoder.pid}/status").read_text()
        return first, second, int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_file_takes_more_memory_than_a_decoder_may_have(preparation, kind):
    """Its header is read first, and the kernel keeps the limit."""
    outcome, neighbour, peak = outcomes(preparation, HOSTILE[kind]())

    assert isinstance(outcome, Prepared) or outcome.reason in {Reason.TOO_MANY_PIXELS, Reason.NOISE, Reason.BLANK}
    assert isinstance(neighbour, Prepared)
    assert peak < MAX_PROCESS_BYTES


@pytest.mark.parametrize("kind", ["float TIFF", "WebP", "62,500 tiles", "turned TIFF"])
def test_a_file_whose_header_told_too_little_is_rejected_at_the_kernels_limit(preparation, kind):
    """The decoder goes on, and the film after it is scored."""
    lifted = dataclasses.replace(preparation, limits=Limits(max_memory=NO_LIMIT))
    data = HOSTILE[kind]() if kind != "turned TIFF" else picture("TIFF", 8000, "RGB", compression="tiff_lzw",
                                                                 tiffinfo={274: 6})  # fmt: skip

    outcome, neighbour, peak = outcomes(lifted, data)

    assert isinstance(outcome, RejectedFilm)
    assert outcome.reason in {Reason.TOO_MANY_PIXELS, Reason.CORRUPT}
    assert isinstance(neighbour, Prepared)
    assert peak < MAX_PROCESS_BYTES
