"""ModelScope, asked through its public HTTP interface."""

import json
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from .catalogue import DownloadError, Listing, RemoteFile, Repository, refusal, wanted
from .transfer import open_url

_LIMIT = 30.0  # seconds
_REVISION = "master"


class ModelScope:
    """A `Source`. Honours MODELSCOPE_DOMAIN, as ModelScope's own package does."""

    label = "ModelScope"

    def __init__(self) -> None:
        named = os.environ.get("MODELSCOPE_DOMAIN") or "modelscope.cn"
        self.endpoint = (named if "://" in named else f"https://{named}").rstrip("/")

    def listing(self, repository: Repository) -> Listing:
        """Ask for the files of the main revision, their sizes and digests, and the licence."""
        page = f"{self.endpoint}/models/{repository.name}"
        base = f"{self.endpoint}/api/v1/models/{repository.name}"
        answer = _ask(f"{base}/repo/files?Revision={_REVISION}&Recursive=true", page)
        licence = (_ask(base, page).get("Data") or {}).get("License") or "see its page"
        try:
            files = [
                RemoteFile(
                    entry["Path"],
                    int(entry["Size"]),
                    f"{base}/repo?Revision={_REVISION}&FilePath={quote(entry['Path'], safe='')}",
                    entry.get("Sha256") or None,
                )
                for entry in answer["Data"]["Files"]
                if entry["Type"] == "blob"
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise DownloadError(
                f"{self.endpoint} did not answer as ModelScope does ({type(error).__name__}: "
                f"{error}). Check MODELSCOPE_DOMAIN, or use Hugging Face."
            ) from error
        return Listing(repository, str(licence), page, wanted(files, repository))


def _ask(url: str, page: str) -> dict[str, Any]:
    try:
        with open_url(urllib.request.Request(url), _LIMIT) as answer:  # noqa: S310 - a web address
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise refusal(error.code, url, page, error.headers.get("Retry-After")) from error
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{url} cannot be read ({error}). Check the connection, and MODELSCOPE_DOMAIN if you "
            "set it."
        ) from error
