"""Encoding of text files: UTF-8, UTF-16 with a byte order mark, Windows-1252 where nothing else fits, or as named.

A wrong guess would corrupt a dictionary silently, so Windows-1252 is accepted only where every letter it yields
stands in a plausible place; statistical detection took one DOS or Macintosh file in three for Windows-1252.
"""

import codecs
import re
from typing import Final

from services.library.formats.records import NotReadable

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN: Final = "windows-1252"
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_WORD: Final = re.compile(r"[^\s,;:\t|()\[\]{}\"“”«»<>=/\\.!?¡¿…0-9+*°ºª%&@#_~-]+")
# Letters and marks of western European languages; in the middle of a word no other sign is expected.
_IN_WORDS: Final = frozenset("áéíóúüñàèìòùâêîôûäëïöãõçåæøœßý'’´`·")
_ALONE: Final = frozenset("–—•€£§©®²³½¼¾×‘†")
_SAVE: Final = "save it as UTF-8 (Excel: Save as, 'CSV UTF-8'; Notepad: Encoding, UTF-8), or name it with --encoding"


def decode(data: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of a file and the name of its encoding; raise ``NotReadable`` with the line at fault.

    ``encoding`` is a name that Python knows, which replaces the detection.
    """
    if encoding is not None:
        return _decoded_as(data, encoding), encoding
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decoded_as(data, name), name
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    if _BINARY.search(data):
        raise NotReadable(f"line {line}: not text")
    try:
        text = data.decode(_WESTERN)
    except UnicodeDecodeError:
        text = ""
    if not text or not all(_is_plausible(word) for word in _WORD.findall(text)):
        raise NotReadable(f"line {line}: not UTF-8, and the encoding is uncertain; {_SAVE}")
    return text, _WESTERN


def _decoded_as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise NotReadable(f"no encoding is named '{encoding}'; examples: utf-8, cp1252, cp850, mac_roman") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotReadable(f"line {line}: not {encoding.removesuffix('-sig')}; {_SAVE}") from error


def _is_plausible(word: str) -> bool:
    """Return whether a word looks right: known letters, capitals only at its start or throughout."""
    if word.isascii() or word in _ALONE:
        return True
    foreign = [char for char in word if not char.isascii()]
    if any(char.lower() not in _IN_WORDS for char in foreign):
        return False
    if len(word) > 2 and len(foreign) * 3 > len(word) * 2:
        return False
    return word[1:] == word[1:].lower() or word == word.upper()
