"""A mask as "edit here": drawn over the picture as the region turn shows it, and kept elsewhere.

The model was taught to draw the region of an edit as an overlay over the picture; here a person
draws it, and the model reads it as if it were its own (docs/decisions/0029).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import PromptError
from ..pixels import marked, to_mask
from ..progress import Progress, ProgressBar
from .context import LatentContext, pictures_in
from .drawing import Replay
from .images import decode_pixels, encode_image, expand
from .model import MingModel
from .values import Features


@dataclass(frozen=True, slots=True)
class Marked:
    """A picture to edit where a mask says.

    region  the picture under the overlay, as the model would draw it
    kept    the picture's own latents, of the visual tokens that the mask does not touch
    """

    region: Features
    kept: Replay


@torch.inference_mode()
def mark(
    model: MingModel,
    mask: Tensor,
    *,
    context: LatentContext | None = None,
    features: Features | None = None,
    progress: Progress | None = None,
) -> Marked:
    """Mark where the picture that `edit` would change is to be changed.

    mask  (H, W) or (1, H, W) in [0, 1], above a half where marked; of the shape of the given
    picture or square. Raises PromptError where it marks nothing, or there is no picture.
    """
    picture = picture_to_edit(context, features)
    if picture is None:
        raise PromptError("There is no picture to mark: connect one, or a context that has one.")
    parts, grid = model.parts, model.config.language.image_grid
    boxes = (parts.pixel_decoder, parts.low_level_encoder, parts.semantic_decoder)
    bar = ProgressBar(progress, sum(len(box.blocks) for box in boxes))
    image = decode_pixels(model, picture, bar)
    where = to_mask(mask, picture.frame, image.shape[1])
    latents = encode_image(model, torch.cat((image, marked(image, where))), "edit", bar)
    own, under = latents.values
    region = replace(latents, values=under[None], frame=picture.frame)
    touched = F.adaptive_max_pool2d(where[None].float(), grid).flatten() > 0
    return Marked(expand(model, region, bar), Replay(own, ~touched))


def picture_to_edit(context: LatentContext | None, features: Features | None) -> Features | None:
    """Return the picture that an edit changes: the last one given, else the last of a context."""
    if features is not None:
        return features.images()[-1]
    if context is None:
        return None
    said = [part for turn in context.turns for part in (*turn.shown, *turn.reply)]
    pictures = pictures_in((*said, context.carried) if context.carried else said)
    return pictures[-1].features if pictures else None
