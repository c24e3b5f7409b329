"""The Hugging Face Hub, or a mirror of it, asked through its public HTTP interface."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .answers import SHA1, SHA256, Hub, licence_in
from .catalogue import DownloadError, Listing, RemoteFile, Repository, Settings, wanted

_SETTINGS = Settings("HF_ENDPOINT", "HF_TOKEN")
_TRUE = ("1", "true", "yes", "on")


class HuggingFace:
    """A `Source`. Honours HF_ENDPOINT, HF_TOKEN (or a stored sign-in) and HF_HUB_OFFLINE."""

    label = "Hugging Face"

    def __init__(self) -> None:
        named = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        self.endpoint = named.rstrip("/")

    def listing(self, repository: Repository) -> Listing:
        """Ask for the files of the newest commit, their sizes and digests, and the licence."""
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE:
            raise DownloadError(
                "HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it before ComfyUI starts, "
                "or put the folders into models/ming_univision by hand."
            )
        hub = Hub(self.label, self.endpoint, _SETTINGS)
        page, headers = f"{self.endpoint}/{repository.name}", _sign_in()
        answer = hub.ask(f"{self.endpoint}/api/models/{repository.name}?blobs=true", page, headers)
        commit = hub.digest_in(answer, "sha", SHA1)
        if commit is None:
            raise hub.odd(answer)
        files = [
            _file(hub, entry, f"{page}/resolve/{commit}", headers)
            for entry in hub.entries(answer.get("siblings"))
        ]
        licence = licence_in(answer.get("cardData"), "license_name", "license")
        return Listing(repository, licence, page, wanted(files, repository))


def _file(hub: Hub, entry: dict[str, Any], base: str, headers: Mapping[str, str]) -> RemoteFile:
    path = hub.path_in(entry, "rfilename")
    large = entry.get("lfs")
    if large is not None:
        [large] = hub.entries([large])
    return RemoteFile(
        path,
        hub.size_in(entry, "size"),
        f"{base}/{quote(path, errors='replace')}",
        None if large is None else hub.digest_in(large, "sha256", SHA256),
        None if large is not None else hub.digest_in(entry, "blobId", SHA1),
        headers,
        _SETTINGS,
    )


def _sign_in() -> dict[str, str]:
    """Return the header that signs in, of the token that a person stored, if there is one."""
    try:
        from huggingface_hub import get_token  # only when it is needed: it takes a while
    except ImportError as error:
        raise DownloadError(
            f"The package huggingface_hub cannot be imported ({error}). Install it with "
            "`python -m pip install huggingface_hub` in ComfyUI's environment."
        ) from error
    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}
