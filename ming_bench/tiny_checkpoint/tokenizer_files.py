"""The published tokenizer's control tokens and three files, for tokenizers of our own."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

CONTROL_TOKENS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "[CLS]",
    "[gMASK]",
    "<role>",
    "</role>",
    "<imagePatch>",
    "<image>",
    "</image>",
)
SPECIAL = {
    "additional_special_tokens": ["<role>", "</role>"],
    "bos_token": "<|startoftext|>",
    "cls_token": "[CLS]",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
}
LOADED_AS = {"add_bos_token": False, "tokenizer_class": "PreTrainedTokenizerFast"}


def write_files(tokenizer: Tokenizer, folder: Path) -> dict[str, int]:
    """Add the control tokens and write the files into `folder`, made if need be.

    Returns token -> id of the whole vocabulary; the control tokens come last.
    """
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    files = {
        "tokenizer.json": json.loads(tokenizer.to_str()),
        "special_tokens_map.json": SPECIAL,
        "tokenizer_config.json": SPECIAL | LOADED_AS,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")
    return tokenizer.get_vocab(with_added_tokens=True)
