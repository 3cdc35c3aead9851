"""Bytes as text: the encoding of a file, said by it, by the user, or found out."""

import codecs
from pathlib import Path

from transferlab.ground.errors import TransferlabError

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # the mark of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# letters with their accents, the two ligatures of French, and marks: dashes, quotes, dots, units
OTHERS = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive; save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as CSV"),
    (b"\x1f\x8b", "compressed; unpack it"),
    (b"PAR1", "a Parquet file; give it the suffix .parquet"),
    (b"%PDF", "a PDF; take the text out of it"),
    (b"version https://git-lfs.github.com", "a pointer of Git LFS; fetch the file itself (git lfs pull)"),
    (b"<!DOCTYPE html", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
)
"""How files begin that are no text of rows, and what they are."""
WESTERN = {
    *map(chr, (*range(0xC0, 0xD0), *range(0xD1, 0xD7), *range(0xD8, 0xDD), 0xDF, *range(0xE0, 0xF0))),
    *map(chr, (*range(0xF1, 0xF7), *range(0xF8, 0xFD), 0xFF, 0x152, 0x153)),
    *bytes((*range(0x91, 0x98), 0x84, 0x85, 0x80)).decode("cp1252"),
    *bytes((0xA0, 0xA1, 0xA3, 0xA7, 0xA9, 0xAB, 0xAE, 0xB0, 0xB2, 0xB3, 0xB4, 0xB7, 0xBB, 0xBF)).decode("cp1252"),
}
"""What Western European text in Windows-1252 has beside ASCII."""


def decode(path: Path, encoding: str | None) -> tuple[str, str]:
    """The text of a file and its encoding.

    A byte order mark decides, else UTF-8 where the bytes are, UTF-16 where every other byte is zero, and Windows-1252
    where that gives nothing but Western European letters and marks; all else would be a guess.

    Args:
        path: The file.
        encoding: Its encoding; None: to be found out.

    Raises:
        TransferlabError: The bytes are in another encoding, of which it names the line, or no text of rows.
    """
    return decode_bytes(path.read_bytes(), encoding, path)


def decode_bytes(content: bytes, encoding: str | None, path: Path | str) -> tuple[str, str]:
    """The same for what was read already; `path` names it.

    Raises:
        TransferlabError: Another kind of file, or bytes that are no text in this encoding; names the line.
    """
    begin = content.lstrip()[:40].lower()
    for mark, what in OTHERS:
        if begin.startswith(mark.lower()):
            raise TransferlabError(f"{path} is {what}.")
    if encoding is not None:
        return _as_given(path, content, encoding), encoding
    for mark, name in MARKS:
        if content.startswith(mark):
            return _as_given(path, content, name), name.removesuffix("-sig").upper()
    if wide := _wide(content):
        return _as_given(path, content, wide), wide.upper()
    try:
        return content.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError as error:
        found = _western(content)
        if found is not None:
            return found, "Windows-1252 (guessed)"
        raise TransferlabError(
            f"{path}, line {_line(content, error.start)}: this is not UTF-8 "
            f"({content[error.start : error.start + 4]!r}). Name the encoding in data.source.encoding (such as cp1251, "
            "latin-1 or shift_jis), or save the file as UTF-8."
        ) from error


def _as_given(path: Path | str, content: bytes, encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding).name
    except LookupError as error:
        raise TransferlabError(f"data.source.encoding: there is no encoding {encoding!r}.") from error
    try:
        # with the mark at the beginning or without
        return content.decode("utf-8-sig" if codec == "utf-8" else codec)
    except UnicodeDecodeError as error:
        raise TransferlabError(
            f"{path}, line {_line(content, error.start)}: this is not {encoding} "
            f"({content[error.start : error.start + 4]!r}); name another in data.source.encoding."
        ) from error


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _wide(content: bytes) -> str:
    """UTF-16 without a mark: mostly ASCII, so that every other byte is zero."""
    start = content[:2000]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if len(start) > 3 and max(even, odd) > 0.4 * len(start) and min(even, odd) == 0:
        return "utf-16-le" if odd > even else "utf-16-be"
    return ""


def _western(content: bytes) -> str | None:
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    letters = sum(letter.isalpha() for letter in text)
    foreign = [letter for letter in text if not letter.isascii()]
    # a text of another alphabet is full of them
    return text if set(foreign) <= WESTERN and 4 * len(foreign) <= letters else None
