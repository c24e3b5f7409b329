"""The Hugging Face Hub, or a mirror of it, asked through huggingface_hub."""

import os
from typing import Any

from .catalogue import DownloadError, Listing, RemoteFile, Repository, refusal, wanted

_LIMIT = 30.0  # seconds
_TRUE = ("1", "true", "yes", "on")


class HuggingFace:
    """A `Source`. Honours HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE."""

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
        hub = _huggingface_hub()
        page = f"{self.endpoint}/{repository.name}"
        token = hub.get_token()
        found = self._ask(hub, repository, page, token)
        headers = hub.utils.build_hf_headers(token=token or False)
        files = [self._file(hub, entry, repository, found.sha, headers) for entry in found.siblings]
        card = found.card_data or {}
        licence = str(card.get("license_name") or card.get("license") or "see its page")
        return Listing(repository, licence, page, wanted(files, repository))

    def _ask(self, hub: Any, repository: Repository, page: str, token: str | None) -> Any:  # noqa: ANN401
        api = hub.HfApi(endpoint=self.endpoint, token=token or False)
        try:
            return api.model_info(repository.name, files_metadata=True, timeout=_LIMIT)
        except hub.errors.HfHubHTTPError as error:
            answer = error.response
            wait = answer.headers.get("Retry-After")
            raise refusal(answer.status_code, page, page, wait) from error
        except Exception as error:  # the HTTP library behind the hub's depends on its version
            raise DownloadError(
                f"{self.endpoint} cannot be reached ({error}). Check the connection, and the "
                "address in HF_ENDPOINT if you set one."
            ) from error

    def _file(
        self,
        hub: Any,  # noqa: ANN401
        entry: Any,  # noqa: ANN401
        repository: Repository,
        commit: str,
        headers: dict[str, str],
    ) -> RemoteFile:
        name = entry.rfilename
        return RemoteFile(
            name,
            entry.size or 0,
            hub.hf_hub_url(repository.name, name, revision=commit, endpoint=self.endpoint),
            entry.lfs.sha256 if entry.lfs else None,
            None if entry.lfs else entry.blob_id,
            headers,
        )


def _huggingface_hub() -> Any:  # noqa: ANN401
    """Import the package only when it is needed: it takes a while."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise DownloadError(
            f"The package huggingface_hub cannot be imported ({error}). Install it with "
            "`python -m pip install huggingface_hub` in ComfyUI's environment."
        ) from error
    return huggingface_hub
