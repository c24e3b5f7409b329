"""Pictures in the making: latents as far as they are drawn, painted when somebody looks."""

import torch
from torch import Tensor

from ..errors import NumericsError
from ..pixels import to_image
from ..progress import ProgressBar
from .model import LiteUniModel
from .sizes import PictureSize, fitted

GREY = 0.5


class Drawing:
    """Pictures in the making, as far as they can be foreseen."""

    def __init__(
        self, model: LiteUniModel, sizes: PictureSize, count: int, bar: ProgressBar
    ) -> None:
        self._model, self._sizes, self._count, self._bar = model, sizes, count, bar
        self._foreseen: Tensor | None = None
        self.version = 0
        self.latents: list[Tensor] = []
        side = model.config.autoencoder.pixels_per_latent
        height, width = (length // side for length in sizes.drawn)
        self.latent_shape = (model.config.diffusion.channels, height, width)

    def watch(self, _step: int, foreseen: Tensor) -> None:
        """Report a step and what the picture will be like."""
        self._foreseen = foreseen
        self.version += 1
        self._bar.update()
        self._bar.drawing(self)

    @property
    def num_paintable(self) -> int:
        """Places of latents that painting now would decode."""
        _, height, width = self.latent_shape
        return height * width * len(self._visible())

    def paint(self) -> Tensor:
        """Decode what there is to host images (pictures, H, W, 3), grey where nothing is."""
        painted = [self.painted(latent) for latent in self._visible()]
        missing = self._count - len(painted)
        grey = torch.full((missing, *self._sizes.final, 3), GREY)
        return torch.cat((*painted, grey))

    def painted(self, latent: Tensor, bar: ProgressBar | None = None) -> Tensor:
        """Decode a latent (C, h, w) to a host image (1, H, W, 3)."""
        if not latent.isfinite().all():
            raise NumericsError(
                f"The diffusion transformer computed values that are no numbers (in "
                f"{self._model.dtype}). Choose precision bf16 or fp32."
            )
        latents = latent[None].to(self._model.device, self._model.wide)
        callback = self._bar.check_cancelled if bar is None else bar.update
        pixels = self._model.parts.autoencoder(latents, callback)
        return to_image(fitted(pixels.float(), self._sizes.final))

    def _visible(self) -> list[Tensor]:
        done = self.latents
        if self._foreseen is None or len(done) == self._count:
            return done
        return [*done, self._foreseen]
