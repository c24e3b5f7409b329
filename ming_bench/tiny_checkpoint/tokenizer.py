"""The published tokenizer's files and control tokens, and a small byte-level tokenizer in them."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CONTROL_TOKENS = ["<|startoftext|>", "<|endoftext|>", "[CLS]", "[gMASK]", "<role>", "</role>"]
CONTROL_TOKENS += ["<imagePatch>", "<image>", "</image>"]
SPECIAL = {
    "additional_special_tokens": ["<role>", "</role>"],
    "bos_token": "<|startoftext|>",
    "cls_token": "[CLS]",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
}
LOADED_AS = {"add_bos_token": False, "tokenizer_class": "PreTrainedTokenizerFast"}

BPE_SIZE = 448
"""Size of the learnt vocabulary: 256 bytes and 192 merges; control tokens follow it."""

CORPUS = (
    "HUMAN ASSISTANT HUMAN ASSISTANT HUMAN ASSISTANT",
    "Please generate the corresponding image based on the description.",
    "Please describe the picture in detail.",
    "Given the edit instruction: please identify the editing region",
    "Refine the image for better clarity.",
    "a small red circle at the top left and a large blue square at the bottom right",
    "a yellow triangle and a green star in the middle on a white background",
    "change the colour of the star to purple, remove the square, add an orange circle",
    "What is in the picture? How many shapes are there? There are two shapes on black.",
    "Make the photo sharper, then colourise it. Segment the subject and remove the background.",
)


def write_tokenizer(folder: Path) -> dict[str, int]:
    """Write the three tokenizer files into `folder`; return token -> id of the whole vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=BPE_SIZE, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return write_files(tokenizer, folder)


def write_files(tokenizer: Tokenizer, folder: Path) -> dict[str, int]:
    """Add the control tokens and write the files into `folder`, made if need be.

    Returns token -> id of the whole vocabulary; the control tokens come last.
    """
    tokenizer.add_special_tokens(CONTROL_TOKENS)
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


def is_readable(token: str) -> bool:
    """Whether a vocabulary entry stands for printable ASCII (a leading space counts)."""
    return token.removeprefix("\u0120").isascii() and token not in CONTROL_TOKENS
