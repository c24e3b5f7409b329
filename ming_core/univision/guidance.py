"""Guidance: which branches a picture needs, what each of them sees, and its weight (SPEC 5)."""

from collections.abc import Sequence
from enum import Enum

import torch
from torch import Tensor

from .context import LatentContext
from .sampling import ImageSampling
from .tokenizer import IMAGE, IMAGE_END, IMAGE_PATCH, ConversationTokenizer


class Branch(Enum):
    """One way of looking at the conversation; a picture has a sequence for every one in use."""

    FULL = "full"
    IMAGE_ONLY = "image_only"
    UNCONDITIONAL = "unconditional"


def guidance_weights(sampling: ImageSampling, *, has_image_branch: bool) -> dict[Branch, float]:
    """Return the weight of each branch's velocity; FULL comes first, and weights sum to 1.

    The published formulas `u + i (m - u) + t (f - m)` and `u + t (f - u)`, ordered by branch.
    A branch of weight zero is left out: it could not change the picture.
    """
    text, image = sampling.text_guidance, sampling.image_guidance
    if has_image_branch:
        others = {Branch.IMAGE_ONLY: image - text, Branch.UNCONDITIONAL: 1 - image}
    else:
        others = {Branch.UNCONDITIONAL: 1 - text}
    return {Branch.FULL: text} | {branch: w for branch, w in others.items() if w != 0}


def prompt_masks(ids: Sequence[int], tokenizer: ConversationTokenizer) -> dict[Branch, Tensor]:
    """Return what each branch sees of a turn's own tokens: (T,) booleans.

    The unconditional branch does not see what the user said last; the image-only branch sees
    of it the images alone.
    """
    start, end = last_user_content(ids, tokenizer)
    tokens = torch.tensor(ids)
    outside = torch.ones(len(ids), dtype=torch.bool)
    outside[start:end] = False
    image_ids = torch.tensor([tokenizer.ids[t] for t in (IMAGE, IMAGE_PATCH, IMAGE_END)])
    return {
        Branch.FULL: torch.ones_like(outside),
        Branch.IMAGE_ONLY: outside | torch.isin(tokens, image_ids),
        Branch.UNCONDITIONAL: outside,
    }


def last_user_content(ids: Sequence[int], tokenizer: ConversationTokenizer) -> tuple[int, int]:
    """Return start and end of the tokens between the last user and the next assistant prefix."""
    user, assistant = tokenizer.user_prefix, tokenizer.assistant_prefix
    starts = [i for i in range(len(ids)) if list(ids[i : i + len(user)]) == user]
    start = starts[-1] + len(user)
    ends = [i for i in range(start, len(ids)) if list(ids[i : i + len(assistant)]) == assistant]
    return start, ends[0]


def past_masks(context: LatentContext) -> dict[Branch, Tensor]:
    """Return what each branch sees of the earlier turns' tokens: (past,) booleans.

    The unconditional branch does not see what was generated in the turn just before. Of older
    turns it sees everything: odd, but so the published model behaves.
    """
    everything = torch.ones(context.num_tokens, dtype=torch.bool)
    without_last_reply = everything.clone()
    if context.turns:
        without_last_reply[context.num_tokens - context.turns[-1].num_reply_tokens :] = False
    return {
        Branch.FULL: everything,
        Branch.IMAGE_ONLY: everything,
        Branch.UNCONDITIONAL: without_last_reply,
    }
