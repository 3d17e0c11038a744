"""Walks the elements of a DICOM data set as bytes, without converting a value (PS3.5 section 7).

Needs neither pydicom nor a decoder, so that the dashboard can use it. It forgives what pydicom's reader forgives, since
a film must survive that the worker can read; the limits on elements and on levels bound its time and memory.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: As for the worker's reader: a film has some hundred elements; a hostile file has millions.
MAX_ELEMENTS = 50_000
#: Sequences in sequences; real objects have up to ten levels.
MAX_DEPTH = 32

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
#: VRs whose length has four bytes, after two unused ones.
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SEQUENCE_VRS = frozenset({b"SQ", b"UN"})


class DamagedElements(ValueError):
    """The bytes cannot be walked to the end of the data set."""


class _CutShort(DamagedElements):
    """A value of undefined length has no end."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it stands in the data set."""

    #: Group and element number in one.
    tag: int
    #: The bytes before the value: 8, or 12 where the length has four bytes after a VR.
    header: bytes
    #: The bytes of the value, without the item that ends an undefined length.
    value: memoryview
    has_undefined_length: bool
    #: What the elements of its items have, if it is a sequence.
    is_implicit: bool

    def with_value(self, value: bytes | memoryview, byte_order: str) -> list[bytes | memoryview]:
        """Return the pieces of the element with another value; the header says its length."""
        if self.has_undefined_length:
            return [self.header, value, struct.pack(byte_order + "HHL", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)]
        has_short_length = not self.is_implicit and len(self.header) == 8  # noqa: PLR2004 - tag, VR and two bytes
        length = struct.pack(byte_order + ("H" if has_short_length else "L"), len(value))
        return [self.header[: -len(length)] + length, value]


class Walk:
    """A position in the bytes of a data set, which moves from element to element."""

    def __init__(self, data: bytes, *, is_implicit: bool, byte_order: str = "<", at: int = 0) -> None:
        """Begin at a position.

        Args:
            data: the bytes.
            is_implicit: elements have no VR, by the transfer syntax; what the first element shows overrules it.
            byte_order: `<` for little endian, `>` for big endian.
            at: where the data set begins.
        """
        self._data, self._view = data, memoryview(data)
        self._is_implicit, self.byte_order = is_implicit, byte_order
        self._tag_length = struct.Struct(byte_order + "HHL")
        self._elements = 0
        #: Where the next element begins.
        self.at = at

    def elements(self, last_tag: int = UNDEFINED) -> Iterator[Element]:
        """Yield the elements of the data set until one whose tag is beyond `last_tag`, whose start is then `at`.

        Raises:
            DamagedElements: they cannot be walked, are too many, or lie too deep.
        """
        try:
            yield from self._dataset(len(self._data), is_implicit=self._is_implicit, depth=0, last_tag=last_tag)
        except _CutShort:  # What is before it may be a whole film without its pixels: the worker says what is wrong.
            self.at = len(self._data)

    def items(self, sequence: Element) -> list[list[Element]]:
        """Return the elements of each item of a sequence.

        Raises:
            DamagedElements: they cannot be walked.
        """
        inner = Walk(bytes(sequence.value), is_implicit=sequence.is_implicit, byte_order=self.byte_order)
        found = []
        while inner.at < len(inner._data):
            tag, length = inner._tag_and_length()
            if tag == SEQUENCE_END:
                break
            if tag != ITEM:
                raise DamagedElements("a sequence holds something other than items")
            end = len(inner._data) if length == UNDEFINED else inner.at + length
            found.append(list(inner._dataset(end, is_implicit=sequence.is_implicit, depth=1)))
        return found

    def _dataset(self, end: int, *, is_implicit: bool, depth: int, last_tag: int = UNDEFINED) -> Iterator[Element]:
        if depth > MAX_DEPTH:
            raise DamagedElements(f"more than {MAX_DEPTH} levels of sequences")
        is_implicit = self._seems_implicit(is_implicit=is_implicit, is_nested=depth > 0)
        while self.at < end and self.at + 8 <= len(self._data):
            self._elements += 1
            if self._elements > MAX_ELEMENTS:
                raise DamagedElements(f"more than {MAX_ELEMENTS} elements")
            start = self.at
            element = self._element(start, is_implicit=is_implicit, depth=depth, last_tag=last_tag)
            if element is None:
                return
            yield element

    def _element(self, start: int, *, is_implicit: bool, depth: int, last_tag: int) -> Element | None:
        """Return the element at `start`, None for the end of an item or a tag beyond `last_tag`."""
        group, number, length = self._tag_length.unpack_from(self._data, start)
        tag = group << 16 | number
        vr = self._data[start + 4 : start + 6]
        if is_implicit or not (vr in LONG_VRS or b"AA" <= vr <= b"ZZ"):
            vr, header_length = b"", 8
        elif vr in LONG_VRS:
            header_length = 12
            if start + header_length > len(self._data):
                raise DamagedElements("an element is cut short")
            (length,) = struct.unpack_from(self.byte_order + "L", self._data, start + 8)
        else:
            header_length = 8
            (length,) = struct.unpack_from(self.byte_order + "H", self._data, start + 6)
        if tag == ITEM_END:
            self.at = start + 8
            return None
        if tag > last_tag:
            return None
        begin = start + header_length
        if length != UNDEFINED:
            end = min(begin + length, len(self._data))
            self.at = end
        else:
            end = self._end_of_undefined(begin, tag, vr, is_implicit=not vr, depth=depth)
        return Element(tag, self._data[start:begin], self._view[begin:end], length == UNDEFINED, not vr or is_implicit)

    def _end_of_undefined(self, begin: int, tag: int, vr: bytes, *, is_implicit: bool, depth: int) -> int:
        """Move behind a value of undefined length; return where it ends."""
        self.at = begin
        if vr in SEQUENCE_VRS or (not vr and tag != PIXEL_DATA and self._next_is_item()):
            return self._skip_items(is_implicit=is_implicit, depth=depth)
        fragments_end = self._skip_fragments()
        if fragments_end is not None:
            return fragments_end
        mark = struct.pack(self.byte_order + "HH", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF)
        end = self._data.find(mark, begin)
        if end < 0:
            raise _CutShort("a value has no end")
        self.at = end + 8
        return end

    def _next_is_item(self) -> bool:
        if self.at + 4 > len(self._data):
            return False
        group, number = struct.unpack_from(self.byte_order + "HH", self._data, self.at)
        return (group << 16 | number) in {ITEM, SEQUENCE_END}

    def _skip_items(self, *, is_implicit: bool, depth: int) -> int:
        while True:
            start = self.at
            tag, length = self._tag_and_length()
            if tag == SEQUENCE_END:
                return start
            if tag != ITEM:
                raise DamagedElements("a sequence holds something other than items")
            if length == UNDEFINED:
                for _ in self._dataset(len(self._data), is_implicit=is_implicit, depth=depth + 1):
                    pass
            else:
                self._elements += 1
                if self._elements > MAX_ELEMENTS:
                    raise DamagedElements(f"more than {MAX_ELEMENTS} elements")
                self.at += length

    def _skip_fragments(self) -> int | None:
        """Move behind the fragments of compressed pixels; return where they end, None if they are not well-formed."""
        while self.at + 8 <= len(self._data):
            start = self.at
            tag, length = self._tag_and_length()
            if tag == SEQUENCE_END:
                return start
            if tag != ITEM or length == UNDEFINED:
                return None
            self.at += length
        return None

    def _tag_and_length(self) -> tuple[int, int]:
        if self.at + 8 > len(self._data):
            raise DamagedElements("a sequence is cut short")
        group, number, length = self._tag_length.unpack_from(self._data, self.at)
        self.at += 8
        return group << 16 | number, length

    def _seems_implicit(self, *, is_implicit: bool, is_nested: bool) -> bool:
        """Return what the first element shows, whatever the transfer syntax says: some senders mix them up."""
        if is_implicit and is_nested:
            return True
        vr = self._data[self.at + 4 : self.at + 6]
        return is_implicit if len(vr) < 2 else not (vr.isalpha() and vr.isupper())  # noqa: PLR2004
