"""ModelScope, asked through its public HTTP interface."""

import os
from urllib.parse import quote

from .answers import SHA256, Hub, licence_in
from .catalogue import Listing, RemoteFile, Repository, Settings, wanted

_REVISION = "master"
_ADDRESSES = ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN")
_TOKEN = "MODELSCOPE_API_TOKEN"  # noqa: S105 - where it is, not what it is


class ModelScope:
    """A `Source`. Honours MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN, as modelscope 1.40.2 does.

    MODELSCOPE_DOMAIN is the older name of the address.
    """

    label = "ModelScope"

    def __init__(self) -> None:
        setting = next((name for name in _ADDRESSES if os.environ.get(name)), _ADDRESSES[0])
        named = os.environ.get(setting) or "modelscope.cn"
        self.endpoint = (named if "://" in named else f"https://{named}").rstrip("/")
        self._settings = Settings(setting, _TOKEN)

    def listing(self, repository: Repository) -> Listing:
        """Ask for the files of the main revision, their sizes and digests, and the licence."""
        hub, headers = Hub(self.label, self.endpoint, self._settings), _sign_in()
        page = f"{self.endpoint}/models/{repository.name}"
        base = f"{self.endpoint}/api/v1/models/{repository.name}"
        answer = hub.ask(f"{base}/repo/files?Revision={_REVISION}&Recursive=true", page, headers)
        listed = answer.get("Data")
        if not isinstance(listed, dict):
            raise hub.odd(answer)
        files = [
            RemoteFile(
                path := hub.path_in(entry, "Path"),
                hub.size_in(entry, "Size"),
                f"{base}/repo?Revision={_REVISION}&FilePath={quote(path, '', errors='replace')}",
                hub.digest_in(entry, "Sha256", SHA256),
                headers=headers,
                settings=self._settings,
            )
            for entry in hub.entries(listed.get("Files"))
            if entry.get("Type") == "blob"
        ]
        licence = licence_in(hub.ask(base, page, headers).get("Data"), "License")
        return Listing(repository, licence, page, wanted(files, repository))


def _sign_in() -> dict[str, str]:
    """Return what signs in: the cookie is what its own package sends to these addresses."""
    token = os.environ.get(_TOKEN, "").strip()
    return {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
