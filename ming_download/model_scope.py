"""ModelScope, asked through its public HTTP interface."""

import os
from urllib.parse import quote

from .answers import SHA256, Hub, licence_in
from .catalogue import Listing, RemoteFile, Repository, wanted

_REVISION = "master"


class ModelScope:
    """A `Source`. Honours MODELSCOPE_DOMAIN, as ModelScope's own package does."""

    label = "ModelScope"

    def __init__(self) -> None:
        named = os.environ.get("MODELSCOPE_DOMAIN") or "modelscope.cn"
        self.endpoint = (named if "://" in named else f"https://{named}").rstrip("/")

    def listing(self, repository: Repository) -> Listing:
        """Ask for the files of the main revision, their sizes and digests, and the licence."""
        hub = Hub(self.label, self.endpoint, "MODELSCOPE_DOMAIN")
        page = f"{self.endpoint}/models/{repository.name}"
        base = f"{self.endpoint}/api/v1/models/{repository.name}"
        answer = hub.ask(f"{base}/repo/files?Revision={_REVISION}&Recursive=true", page, {})
        listed = answer.get("Data")
        if not isinstance(listed, dict):
            raise hub.odd(answer)
        files = [
            RemoteFile(
                path := hub.path_in(entry, "Path"),
                hub.size_in(entry, "Size"),
                f"{base}/repo?Revision={_REVISION}&FilePath={quote(path, '', errors='replace')}",
                hub.digest_in(entry, "Sha256", SHA256),
            )
            for entry in hub.entries(listed.get("Files"))
            if entry.get("Type") == "blob"
        ]
        licence = licence_in(hub.ask(base, page, {}).get("Data"), "License")
        return Listing(repository, licence, page, wanted(files, repository))
