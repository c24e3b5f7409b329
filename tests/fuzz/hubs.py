"""What hubs answer, wrong: a plan keeps to its folder or is refused, without any network."""

import io
import os
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest import mock

import ming_download
from ming_download import DownloadError, Repository, answers

from .checkpoints import Case
from .judging import expect, ours
from .mutators import mutated_bytes, mutated_json

NAME, DIGEST, COMMIT = "owner/tiny", "a" * 64, "b" * 40
FILES = ("model.safetensors", "config.json", "sub/README.md", "LICENSE", ".gitattributes", "x.py")


class Watch:
    """Lets everything happen."""

    def advance(self, done: int, total: int) -> None: ...
    def advance_file(self, name: str, done: int, total: int) -> None: ...
    def check_cancelled(self) -> None: ...


def hubs(folder: Path) -> Case:
    """Listings of both hubs, asked for through the plan of a download."""
    root = folder / "models"
    root.mkdir()
    hugging_face, model_scope = _hugging_face(), _model_scope()

    def case(dice: Random) -> None:
        name = dice.choice(list(ming_download.SOURCES))
        listing = model_scope if name == "ModelScope" else hugging_face
        body = mutated_json(dice, listing)
        if dice.random() < 0.05:
            body = mutated_bytes(dice, body)
        with ours(DownloadError), _answering(body):
            source = ming_download.SOURCES[name]()
            plan = ming_download.make_plan(source, [Repository(NAME)], root, Watch())
            ming_download.describe(plan).encode()
            _expect_inside(plan, root)
        expect(not any(root.iterdir()), "a plan wrote something")

    return case


def _expect_inside(plan: ming_download.Plan, root: Path) -> None:
    targets = [target for _, target in plan.files]
    expect(len({str(t).casefold() for t in targets}) == len(targets), "two files of one name")
    for file, target in plan.files:
        normal = Path(os.path.normpath(target))
        expect(normal.is_relative_to(root / "tiny") and normal == target, "a file outside")
        expect(0 <= file.size <= answers.MOST_FILE, "a file without an end")
        expect(target.suffix not in (".py", ".bin"), "a file that is not wanted")


@contextmanager
def _answering(body: bytes):  # noqa: ANN202
    """Let every address answer with a body, without asking anybody, nor for a token."""
    with (
        mock.patch.object(answers, "open_url", lambda *_: io.BytesIO(body)),
        mock.patch.dict(os.environ, {"HF_TOKEN": "hf_x"}),
        mock.patch.object(ming_download.plan, "in_background", lambda call, _check: call()),
    ):
        os.environ.pop("HF_HUB_OFFLINE", None)
        yield


def _hugging_face() -> dict[str, object]:
    files = [{"rfilename": n, "size": 9, "blobId": COMMIT, "lfs": None} for n in FILES]
    files[0]["lfs"] = {"sha256": DIGEST, "size": 9, "pointerSize": 134}
    return {"id": NAME, "sha": COMMIT, "siblings": files, "cardData": {"license": "mit"}}


def _model_scope() -> dict[str, object]:
    files = [{"Path": n, "Type": "blob", "Size": 9, "Sha256": DIGEST} for n in FILES]
    return {"Code": 200, "Data": {"Files": [*files, {"Path": "sub", "Type": "tree", "Size": 0}]}}
