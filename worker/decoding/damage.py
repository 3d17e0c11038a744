"""The only broad `except` of decoding; it surrounds calls into third-party parsers and decoders.

Damaged content can make them raise almost anything. An error of our own arithmetic must not be caught here, since it
would reject a sound film and leave no trace in the log. So our arithmetic stays outside, and takes typed and checked
values.
"""

import contextlib
import struct
import zlib
from collections.abc import Iterator

from pydicom.errors import BytesLengthException, InvalidDicomError

from worker.errors import Reason, RejectedImage

#: What pydicom, its plug-ins and Pillow raise on damaged content. MemoryError is not listed: the bytes may be sound.
DAMAGE = (
    BytesLengthException, InvalidDicomError, OSError, ValueError, TypeError, LookupError, AttributeError, EOFError,
    RuntimeError, ArithmeticError, AssertionError, SyntaxError, struct.error, zlib.error,
)  # fmt: skip
#: Where PyO3 puts the class of a Rust decoder's panic. It derives from BaseException and cannot be imported.
PANICS = "pyo3_runtime"


@contextlib.contextmanager
def damage_is_rejected(detail: str) -> Iterator[None]:
    """Turn errors of a parser or of a third-party decoder into a rejection.

    Args:
        detail: what is damaged, one sentence for a person.

    Raises:
        RejectedImage: corrupt; one that is raised inside passes through.
    """
    try:
        yield
    except DAMAGE as error:
        raise RejectedImage(Reason.CORRUPT, detail) from error
    except BaseException as error:
        if type(error).__module__ != PANICS:
            raise
        raise RejectedImage(Reason.CORRUPT, detail) from error


@contextlib.contextmanager
def damage_is_left_out() -> Iterator[None]:
    """Go on after errors of a parser, for what a film may lack."""
    with contextlib.suppress(RejectedImage), damage_is_rejected("an optional attribute cannot be read"):
        yield
