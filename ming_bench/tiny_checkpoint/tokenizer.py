"""A small byte-level tokenizer with the control tokens of the published one.

Knows nothing about models: it writes the tokenizer files and answers with the ids.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .tokenizer_files import CONTROL_TOKENS, write_files

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
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=BPE_SIZE,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return write_files(tokenizer, folder)


def is_readable(token: str) -> bool:
    """Whether a vocabulary entry stands for printable ASCII (a leading space counts)."""
    return token.removeprefix("\u0120").isascii() and token not in CONTROL_TOKENS
