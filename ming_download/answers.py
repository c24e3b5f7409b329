"""What a hub says that there is: read with bounds, and nothing in it trusted."""

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from .catalogue import DownloadError, Settings, refusal, said
from .web import open_url

MOST_BYTES = 32 << 20  # of an answer
MOST_FILE = 1 << 50  # bytes of a file
_LIMIT = 30.0  # seconds
SHA256, SHA1 = 64, 40  # digits


@dataclass(frozen=True)
class Hub:
    """A hub as messages name it."""

    label: str
    endpoint: str
    settings: Settings

    def ask(self, url: str, page: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the JSON object that an address answers with; raises DownloadError."""
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - a web address
        try:
            with open_url(request, _LIMIT) as answer:
                body = answer.read(MOST_BYTES + 1)
            if len(body) > MOST_BYTES:
                raise self.odd(f"more than {MOST_BYTES:,} bytes")
            content = json.loads(body)
        except urllib.error.HTTPError as error:
            wait = error.headers.get("Retry-After")
            raise refusal(error.code, url, page, self.settings, wait) from error
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise DownloadError(
                f"{url} cannot be read ({said(error)}). Check the connection, and "
                f"{self.settings.endpoint} if you set it."
            ) from error
        if not isinstance(content, dict):
            raise self.odd(content)
        return content

    def odd(self, seen: object) -> DownloadError:
        """Return what to do about an answer that is none of this hub."""
        return DownloadError(
            f"{self.endpoint} did not answer as {self.label} does ({said(repr(seen))}). Check "
            f"{self.settings.endpoint}, or use the other source."
        )

    def entries(self, listed: object) -> list[dict[str, Any]]:
        """Return a list of objects as it is."""
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise self.odd(listed)
        return listed

    def path_in(self, entry: Mapping[str, object], key: str) -> str:
        """Return the name of a file."""
        path = entry.get(key)
        if not isinstance(path, str):
            raise self.odd(entry)
        return path

    def size_in(self, entry: Mapping[str, object], key: str) -> int:
        """Return the size of a file: without one nobody could say when to stop."""
        size = entry.get(key)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MOST_FILE:
            raise self.odd(entry)
        return size

    def digest_in(self, entry: Mapping[str, object], key: str, length: int) -> str | None:
        """Return so many hexadecimal digits, or None where there are none."""
        digest = entry.get(key) or None
        if digest is not None and not _is_hexadecimal(digest, length):
            raise self.odd(entry)
        return digest


def _is_hexadecimal(digest: object, length: int) -> TypeGuard[str]:
    return isinstance(digest, str) and re.fullmatch(f"[0-9a-f]{{{length}}}", digest) is not None


def licence_in(card: object, *keys: str) -> str:
    """Return the first of some entries of a model card that is text."""
    values = [card.get(key) for key in keys] if isinstance(card, Mapping) else []
    named = next((value for value in values if isinstance(value, str) and value), None)
    return "see its page" if named is None else said(named)
