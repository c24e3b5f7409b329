"""What there is to download: repositories, their files, and which of those are wanted."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

# Weights, configs and texts. No code and no pickles: the engine reads neither.
_SUFFIXES = (".safetensors", ".json", ".txt", ".md", ".jinja")
_TEXTS = ("LICENSE", "LICENCE", "NOTICE")
_LONGEST_NAME, _LONGEST_PATH = 200, 1000  # bytes, with room for `.part` and the folders above
_SAID = 300  # characters
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


class DownloadError(Exception):
    """A download that cannot go on: what was seen, and what to do."""


@dataclass(frozen=True)
class Repository:
    """One repository of a hub, with what is known of it before it is asked."""

    name: str  # owner/name
    size: int = 0  # bytes, about; 0 when unknown

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.name) or self.name.endswith("."):
            raise DownloadError(
                f"{said(repr(self.name))} is not a repository id; expected OWNER/NAME, for example "
                "inclusionAI/MingTok-Vision."
            )

    @property
    def folder(self) -> str:
        """The name of the folder it goes into."""
        return self.name.split("/")[1]


# The tokenizer first: a checkpoint is offered once the config of the second one is there.
PUBLISHED = (
    Repository("inclusionAI/MingTok-Vision", 1_500_000_000),
    Repository("inclusionAI/Ming-UniVision-16B-A3B", 38_000_000_000),
)
# Family -> what is published of it. How large the second one is, its hub says.
FAMILIES: Mapping[str, tuple[Repository, ...]] = {
    "Ming-UniVision": PUBLISHED,
    "Ming-Lite-Uni": (Repository("inclusionAI/Ming-Lite-Uni"),),
}


@dataclass(frozen=True)
class Settings:
    """What a hub's settings in the environment are called."""

    endpoint: str  # names another address
    token: str  # signs in


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository. Its digest is sha256, or git's sha1 for files kept in git."""

    path: str
    size: int
    url: str
    sha256: str | None = None
    git_sha1: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = Settings("the address", "the token")


@dataclass(frozen=True)
class Listing:
    """What a hub says about a repository."""

    repository: Repository
    licence: str
    page: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of the wanted files."""
        return sum(file.size for file in self.files)


class Source(Protocol):
    """A hub."""

    label: str
    endpoint: str

    def listing(self, repository: Repository) -> Listing:
        """Ask for the wanted files of a repository; raises DownloadError."""
        ...


def wanted(files: list[RemoteFile], repository: Repository) -> tuple[RemoteFile, ...]:
    """Keep weights, configs and texts; each config.json comes last, for it makes a folder count."""
    kept = [file for file in files if _is_wanted(PurePosixPath(file.path))]
    if not any(file.path.endswith(".safetensors") for file in kept):
        raise DownloadError(
            f"{repository.name} holds no safetensors file, so there is nothing to load in it. "
            "Check the repository id."
        )
    _refuse_clashes(kept, repository)
    return tuple(sorted(kept, key=lambda file: (_counts(file), file.path)))


def _counts(file: RemoteFile) -> bool:
    return PurePosixPath(file.path).name == "config.json"


def _refuse_clashes(files: list[RemoteFile], repository: Repository) -> None:
    """Raise DownloadError where two files would be one, or a file a folder, on some system."""
    names = [PurePosixPath(file.path.casefold()) for file in files]
    places = Counter([*names, *{folder for name in names for folder in name.parents}])
    twice = [str(place) for place, count in places.items() if count > 1]
    if twice:
        raise DownloadError(
            f"{repository.name} names {said(repr(twice[0]))} twice, of which some systems can keep "
            "only one. Nothing was written: use another copy of it."
        )


def _is_wanted(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") and part != ".." for part in path.parts)
    return not hidden and (path.suffix in _SUFFIXES or path.name.startswith(_TEXTS))


def target_of(root: Path, repository: Repository, path: str) -> Path:
    """Return where a file goes; a name that would leave the folder is refused."""
    folder = root / repository.folder
    parts = path.split("/")
    if len(path.encode(errors="replace")) > _LONGEST_PATH or not all(map(_is_name, parts)):
        raise DownloadError(
            f"{repository.name} names a file {said(repr(path))}, which cannot be kept inside "
            f"{folder}. Nothing was written: do not trust this repository."
        )
    return folder.joinpath(*parts)


def _is_name(part: str) -> bool:
    """Whether every system can keep a file under a name, and it stays in its folder."""
    is_short = len(part.encode(errors="replace")) <= _LONGEST_NAME
    is_odd = re.search(r'[\\:<>"|?*\x00-\x1f\x7f\ud800-\udfff]', part)
    return is_short and not is_odd and part not in ("", ".", "..")


def said(words: object) -> str:
    """Return what others wrote as a message repeats it: its beginning, printable everywhere."""
    text = str(words)
    kept = text if len(text) <= _SAID else f"{text[:_SAID]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in kept)


def refusal(
    status: int, url: str, page: str, settings: Settings, retry_after: str | None = None
) -> DownloadError:
    """Return what to do when a hub answers with an error."""
    if status in (401, 403):
        advice = (
            f"Either the id is misspelt, or it needs your consent: open {page}, accept its terms, "
            f"make an access token and set it as {settings.token} before ComfyUI starts."
        )
    elif status == 404:
        advice = (
            f"Look whether {page} exists, and whether {settings.endpoint} names a mirror that has "
            "it."
        )
    elif status == 429:
        wait = f"{said(retry_after)} seconds" if retry_after else "a few minutes"
        advice = (
            f"It asks for a pause: start again in {wait}; what is here already is kept. "
            f"{settings.token} raises the limit."
        )
    else:
        advice = "The trouble is on its side: start again later; what is here already is kept."
    return DownloadError(f"{url} answered with {status}. {advice}")
