"""Turns the bytes of a list that any program wrote into text, or says why that cannot be done.

Knows nothing about rows.
"""

import re
import unicodedata

from .errors import RowError
from .unicode_marks import unicode_encoding

# What Excel's plain "CSV" is in Western Europe and America, on Windows and on old Macs.
_ONE_BYTE = ("cp1252", "mac_roman")
_OTHER_FILES = {b"\xd0\xcf\x11\xe0": "an old Excel file", b"PK\x03\x04": "a packed spreadsheet"}
_INSIDE_WORDS = "'\u2019\u2018\u2013\u2014\u00b7\u00ad"  # that are not letters
# Longer than what stands side by side in a Western language: Cyrillic, Greek, Chinese, ...
_FOREIGN_WORD = re.compile(r"[^\W\d_a-zA-Z]{3}")
# Letters that no Western language has side by side: what Czech, Croatian, Hungarian, Romanian
# (cp1250) and Turkish (cp1254) come to.
_NOT_WESTERN = (
    ("žš", "èìòùøæñ"),
    ("ý", "èìòùñ"),
    ("õ", "ö", "áéíóú"),
    ("ã", "\u00feº"),
)
_ICELANDIC, _ITS_VOWELS = "ýþð", "áæéíóú"
_ODD_ENDING = re.compile(
    r"[a-z]{3}[\u00b9\u00b3]|[\u00aa\u00ba][a-z]"
)  # "zielon\u00b9", "ro\u00bau"
REMEDY = "Save it as CSV UTF-8 (in Excel: Save As > CSV UTF-8; in LibreOffice: Unicode (UTF-8))."


def decoded(content: bytes, source: str) -> str:
    """The text of a list: UTF-8, UTF-16 or UTF-32, else a one-byte encoding that makes words."""
    for beginning, what in _OTHER_FILES.items():
        if content.startswith(beginning):
            raise RowError(f"{source}: is {what}, not text. {REMEDY}")
    encoding = unicode_encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            return _guessed(content, source)
        raise RowError(f"{source}: is cut short or damaged ({error}). {REMEDY}") from error


def _guessed(content: bytes, source: str) -> str:
    for encoding in _ONE_BYTE:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _is_not_western(text):
            break
        if _makes_words(text):
            return text
    raise RowError(
        f"{source}: is not in UTF-8, and its letters outside ASCII make no words in the encodings "
        f"of Western Europe; a guess would change what it says. {REMEDY}"
    )


def _makes_words(text: str) -> bool:
    """False where letters outside ASCII stand as they do in a text read in a wrong encoding."""
    if _FOREIGN_WORD.search(text):
        return False
    for before, letter, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if letter.isascii():
            continue
        if not letter.isalpha() and letter not in _INSIDE_WORDS and _are_letters(before, after):
            return False
        if letter.isupper() and before.islower():
            return False
    return not any(unicodedata.category(letter) == "Cc" and letter > "\x7f" for letter in text)


def _is_not_western(text: str) -> bool:
    """Whether letters stand together that do so in no language of Western Europe."""
    seen = set(text)
    return (
        any(all(seen & set(letters) for letters in some) for some in _NOT_WESTERN)
        or bool(seen & set(_ICELANDIC) and not seen & set(_ITS_VOWELS))
        or bool(_ODD_ENDING.search(text))
    )


def _are_letters(before: str, after: str) -> bool:
    return before.isalpha() and after.isalpha()
