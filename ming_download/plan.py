"""A whole download: what, how large, under which licence, where to; and carrying it out."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .background import in_background
from .catalogue import DownloadError, Listing, RemoteFile, Repository, Source, target_of
from .connections import CONNECTIONS, FileAndTarget, Tally, fetch_all
from .lock import held
from .transfer import Patience, Watch

RESERVE = 500_000_000  # bytes that stay free on the disk


@dataclass(frozen=True)
class Plan:
    """What will be fetched, and where it goes."""

    source: Source
    root: Path
    listings: tuple[Listing, ...]

    @property
    def files(self) -> list[FileAndTarget]:
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


def download(
    plan: Plan,
    watch: Watch,
    patience: Patience | None = None,
    num_connections: int = CONNECTIONS,
) -> None:
    """Fetch every file; ended early by anything, the next call goes on where it was.

    Raises DownloadError while another download writes into one of the folders.
    """
    if plan.missing and plan.missing + RESERVE > plan.free:
        raise DownloadError(
            f"{in_bytes(plan.missing)} are still to be downloaded, but only {in_bytes(plan.free)} "
            f"are free where {plan.root} is (and {in_bytes(RESERVE)} should stay free). Make room, "
            "or name a folder on another disk under ming_univision in extra_model_paths.yaml."
        )
    with ExitStack() as locks:
        for listing in plan.listings:
            locks.enter_context(held(plan.root / listing.repository.folder))
        tally = Tally(plan.files, watch)
        for together in _in_order(plan.files):
            fetch_all(together, tally, watch, patience or Patience(), num_connections)


def _in_order(files: Sequence[FileAndTarget]) -> Iterator[list[FileAndTarget]]:
    """What may be fetched at once; a folder counts once its config is there, so that comes last."""
    configs = [entry for entry in files if entry[1].name == "config.json"]
    yield [entry for entry in files if entry not in configs]
    yield from ([entry] for entry in configs)


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
