"""A whole download: what, how large, under which licence, where to; and carrying it out."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .background import in_background
from .catalogue import DownloadError, Listing, RemoteFile, Repository, Source, target_of
from .transfer import Patience, Watch, fetch

RESERVE = 500_000_000  # bytes that stay free on the disk
_TELL_SECONDS = 0.1


@dataclass(frozen=True)
class Plan:
    """What will be fetched, and where it goes."""

    source: Source
    root: Path
    listings: tuple[Listing, ...]

    @property
    def files(self) -> list[tuple[RemoteFile, Path]]:
        """Every file and where it goes, in the order of the download."""
        return [
            (file, target_of(self.root, listing.repository, file.path))
            for listing in self.listings
            for file in listing.files
        ]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(listing.size for listing in self.listings)

    @property
    def missing(self) -> int:
        """Bytes that are not here yet."""
        return sum(_missing(file, target) for file, target in self.files)

    @property
    def free(self) -> int:
        """Bytes free on the disk that the files go to."""
        return shutil.disk_usage(_existing(self.root)).free


def make_plan(source: Source, repositories: Sequence[Repository], root: Path, watch: Watch) -> Plan:
    """Ask the hub what there is; raises DownloadError. Downloads nothing."""
    listings = [
        in_background(
            lambda repository=repository: source.listing(repository), watch.check_cancelled
        )
        for repository in repositories
    ]
    plan = Plan(source, root, tuple(listings))
    _ = plan.files  # a name that leaves the folder is refused before anything is shown
    return plan


def describe(plan: Plan) -> str:
    """Say what would be downloaded, how large it is, under which licence, and where to."""
    lines = [f"From {plan.source.label} ({plan.source.endpoint}):"]
    lines += [
        f"  {listing.repository.name}: {in_bytes(listing.size)} in {len(listing.files)} files, "
        f"licence: {listing.licence}, to be read at {listing.page}"
        for listing in plan.listings
    ]
    lines.append(f"Into {plan.root} ({in_bytes(plan.free)} free)")
    lines.append(
        f"Still to download: {in_bytes(plan.missing)}" if plan.missing else "All of it is here."
    )
    return "\n".join(lines)


def download(plan: Plan, watch: Watch, patience: Patience | None = None) -> None:
    """Fetch every file; ended early by anything, the next call goes on where it was."""
    if plan.missing and plan.missing + RESERVE > plan.free:
        raise DownloadError(
            f"{in_bytes(plan.missing)} are still to be downloaded, but only {in_bytes(plan.free)} "
            f"are free where {plan.root} is (and {in_bytes(RESERVE)} should stay free). Make room, "
            "or name a folder on another disk under ming_univision in extra_model_paths.yaml."
        )
    total = _Total(plan.size, watch)
    for file, target in plan.files:
        total.begin(file)
        fetch(file, target, total.tell, watch, patience or Patience())
        total.end()


class _Total:
    """Adds up bytes and passes them on a few times a second."""

    def __init__(self, total: int, watch: Watch) -> None:
        self._total, self._watch = total, watch
        self._before = 0
        self._file: RemoteFile | None = None
        self._told = 0.0

    def begin(self, file: RemoteFile) -> None:
        """Start a file."""
        self._file, self._told = file, 0.0

    def tell(self, done: int) -> None:
        """Take the bytes of the current file that are here."""
        self._watch.check_cancelled()
        if self._file is None or time.monotonic() - self._told < _TELL_SECONDS:
            return
        self._told = time.monotonic()
        self._watch.advance_file(self._file.path, done, self._file.size)
        self._watch.advance(min(self._before + done, self._total), self._total)

    def end(self) -> None:
        """Finish the file."""
        size = self._file.size if self._file else 0
        self._told = 0.0
        self.tell(size)
        self._before += size


def in_bytes(count: int) -> str:
    """Return a count of bytes for people."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def _missing(file: RemoteFile, target: Path) -> int:
    if target.is_file() and target.stat().st_size == file.size:
        return 0
    part = target.with_name(target.name + ".part")
    return max(file.size - (part.stat().st_size if part.is_file() else 0), 0)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())
