"""A Qwen2 tokenizer in its older form, `vocab.json` and `merges.txt`, as the newer one spells it.

What the two do not say is the same for every Qwen2: how text is normalised and cut into words.
"""

from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..foreign_files import is_plain_file, read_text
from ..foreign_json import read_any_json
from ..foreign_text import plain, shown

VOCABULARY, MERGES, CONFIG = "vocab.json", "merges.txt", "tokenizer_config.json"
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def is_older_form(folder: Path) -> bool:
    """Whether a folder holds both files."""
    return all(is_plain_file(folder / name) for name in (VOCABULARY, MERGES))


def older_layout(folder: Path) -> dict[str, Any]:
    """Return what `tokenizer.json` would hold.

    Added tokens are those that `tokenizer_config.json` numbers, if there is one.
    """
    lines = read_text(folder / MERGES).split("\n")
    listed = [line.split() for line in lines if line.strip() and not line.startswith("#version")]
    odd = next((pair for pair in listed if len(pair) != 2), None)
    if odd is not None:
        raise CheckpointError(
            f"{folder / MERGES} merges {shown(odd)}; expected pairs. Download it again."
        )
    vocabulary = read_any_json(folder / VOCABULARY)
    if not isinstance(vocabulary, dict):
        raise CheckpointError(f"{folder / VOCABULARY} numbers no tokens. Download it again.")
    byte_level = {"type": "ByteLevel", "trim_offsets": True}
    split = {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": False}
    cut = byte_level | {"add_prefix_space": False, "use_regex": False}
    joined = byte_level | {"add_prefix_space": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(folder / CONFIG),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, cut]},
        "post_processor": joined | {"trim_offsets": False},
        "decoder": joined,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": listed,
        },
    }


def _added(path: Path) -> list[dict[str, Any]]:
    config = read_any_json(path) if is_plain_file(path) else {}
    try:
        numbered = config.get("added_tokens_decoder", {})
        found = [{"id": int(number), **token} for number, token in numbered.items()]
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: added_tokens_decoder does not number tokens ({plain(error)}). "
            "Download it again."
        ) from error
    return sorted(found, key=lambda token: token["id"])
