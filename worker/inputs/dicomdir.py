"""Recognises a DICOMDIR: the index of a patient CD, a DICOM file without a film."""

#: A file's first bytes in which its kind stands.
HEAD_BYTES = 512
MAGIC, MAGIC_POSITION = b"DICM", 128
#: The SOP class Media Storage Directory.
DIRECTORY_UID = b"1.2.840.10008.1.3.10"
#: The media storage SOP class as it stands in a file: tag, type, length and value.
DIRECTORY_CLASS = b"\x02\x00\x02\x00UI\x14\x00" + DIRECTORY_UID


def is_dicomdir(head: bytes) -> bool:
    """Tell whether a file is a DICOMDIR, by its first `HEAD_BYTES` or more."""
    return head.startswith(MAGIC, MAGIC_POSITION) and DIRECTORY_CLASS in head[:HEAD_BYTES]
