"""The vision tower of Qwen2.5-VL: patches of one picture -> merged features (section 5).

Tokens are laid out in windows, padded at the far edges, from the first layer to the last: a
window is a row of a batch, and a layer that looks at everything flattens the windows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config_section import Section
from ..errors import ConfigError
from ..foreign_text import shown
from ..layers import Rotation
from ..operations import Operations
from ..progress import Callback, no_callback
from .preprocessing import Patches
from .qwen import GatedMLP, RopePrecision, inverse_frequencies

NORM_EPS = 1e-6  # a literal of the published tower
THETA = 10000.0


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Figures of the tower (`qwen2_5_vit/config.json`)."""

    depth: int
    width: int
    num_heads: int
    mlp_size: int
    out_size: int
    channels: int
    patch_size: int
    num_frames: int
    merge: int
    window_size: int
    full_layers: frozenset[int]

    @classmethod
    def read(cls, root: Section) -> "VisionConfig":
        """Read a tower's config, be it by itself or that of a whole Qwen2.5-VL."""
        vision = root.section("vision_config") if "vision_config" in root.values else root
        vision.only("hidden_act", supported="silu")
        channels_key = "in_chans" if "in_chans" in vision.values else "in_channels"
        config = cls(
            depth=vision.integer("depth"),
            width=vision.integer("hidden_size"),
            num_heads=vision.integer("num_heads"),
            mlp_size=vision.integer("intermediate_size"),
            out_size=vision.integer("out_hidden_size"),
            channels=vision.integer(channels_key, default=3),
            patch_size=vision.integer("patch_size", default=14),
            num_frames=vision.integer("temporal_patch_size", default=2),
            merge=vision.integer("spatial_merge_size", default=2),
            window_size=vision.integer("window_size", default=112),
            full_layers=frozenset(_layers(vision, "fullatt_block_indexes", (7, 15, 23, 31))),
        )
        config.check()
        return config

    def check(self) -> None:
        """Refuse figures that contradict each other."""
        if self.width % self.num_heads or self.width // self.num_heads % 4:
            raise ConfigError(
                f"config.json: the vision tower's hidden_size {self.width} gives {self.num_heads} "
                "heads no width that is a multiple of 4, which its rotary embedding needs."
            )
        if self.window_size % (self.patch_size * self.merge):
            raise ConfigError(
                f"config.json: the vision tower's window_size {self.window_size} is no multiple "
                f"of {self.merge} patches of {self.patch_size} pixels."
            )
        if self.channels != 3:
            raise ConfigError(f"config.json: the tower reads {self.channels} channels; expected 3.")

    @property
    def window(self) -> int:
        """Merge blocks along a side of a window."""
        return self.window_size // (self.patch_size * self.merge)


def _layers(section: Section, key: str, default: tuple[int, ...]) -> list[int]:
    value = section.values.get(key, list(default))
    if not isinstance(value, list) or not all(isinstance(i, int) and i >= 0 for i in value):
        raise ConfigError(
            f"config.json: {section.name}.{key} is {shown(value)}; expected layer numbers."
        )
    return value


class Windows:
    """How the merge blocks of one picture (rows, columns) lie in windows."""

    def __init__(self, rows: int, columns: int, side: int) -> None:
        self._rows, self._columns, self._side = rows, columns, side
        self._down, self._across = -(-rows // side), -(-columns // side)

    def split(self, blocks: Tensor) -> Tensor:
        """Lay values of blocks (rows, columns, N, ...) out as (windows, side * side * N, ...)."""
        rest = blocks.shape[2:]
        padded = blocks.new_zeros(self._down * self._side, self._across * self._side, *rest)
        padded[: self._rows, : self._columns] = blocks
        windows = padded.reshape(self._down, self._side, self._across, self._side, *rest)
        return windows.transpose(1, 2).reshape(self._down * self._across, -1, *rest[1:])

    def join(self, windows: Tensor) -> Tensor:
        """Return one value per block, (windows, side * side, D), in rows: (rows * columns, D)."""
        shape = (self._down, self._across, self._side, self._side, windows.shape[-1])
        whole = windows.reshape(shape).transpose(1, 2).flatten(2, 3).flatten(0, 1)
        return whole[: self._rows, : self._columns].flatten(0, 1)


class VisionAttention(nn.Module):
    """Self-attention inside each row of a batch."""

    def __init__(self, config: VisionConfig, operations: Operations) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = operations.Linear(config.width, 3 * config.width)
        self.proj = operations.Linear(config.width, config.width)

    def forward(self, x: Tensor, rotation: Rotation, seen: Tensor | None) -> Tensor:
        """Map (B, T, D) to (B, T, D); seen (B, 1, 1, T) tells tokens from padding."""
        heads = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = heads.unbind(0)
        out = F.scaled_dot_product_attention(rotation(q), rotation(k), v, attn_mask=seen)
        return self.proj(out.transpose(1, 2).flatten(2))


class VisionLayer(nn.Module):
    """One pre-norm block."""

    def __init__(self, config: VisionConfig, operations: Operations) -> None:
        super().__init__()
        self.norm1 = operations.RMSNorm(config.width, eps=NORM_EPS)
        self.attn = VisionAttention(config, operations)
        self.norm2 = operations.RMSNorm(config.width, eps=NORM_EPS)
        self.mlp = GatedMLP(config.width, config.mlp_size, operations.Linear, bias=True)

    def forward(self, x: Tensor, rotation: Rotation, seen: Tensor | None) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        x = x + self.attn(self.norm1(x), rotation, seen)
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(nn.Module):
    """A convolution whose kernel is a patch, as the product it is."""

    def __init__(self, config: VisionConfig, operations: Operations) -> None:
        super().__init__()
        size = config.channels * config.num_frames * config.patch_size**2
        self.proj = operations.Linear(size, config.width, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map (..., channels * frames * size * size) to (..., D)."""
        return self.proj(patches)


class PatchMerger(nn.Module):
    """Blocks of neighbouring patches -> one feature each."""

    def __init__(self, config: VisionConfig, operations: Operations) -> None:
        super().__init__()
        self.size = config.merge**2 * config.width
        self.ln_q = operations.RMSNorm(config.width, eps=NORM_EPS)
        self.mlp = nn.ModuleList(
            (
                operations.Linear(self.size, self.size),
                nn.GELU(),
                operations.Linear(self.size, config.out_size),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, blocks * patches, D) to (B, blocks, out)."""
        x = self.ln_q(x).reshape(x.shape[0], -1, self.size)
        for layer in self.mlp:
            x = layer(x)
        return x


class VisionTower(nn.Module):
    """Patches of a picture -> one feature per merge block, in rows."""

    def __init__(self, config: VisionConfig, operations: Operations) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbedding(config, operations)
        self.blocks = nn.ModuleList(VisionLayer(config, operations) for _ in range(config.depth))
        self.merger = PatchMerger(config, operations)

    def forward(
        self, patches: Patches, precision: RopePrecision = "fp32", callback: Callback = no_callback
    ) -> Tensor:
        """Map a picture to features (blocks, out); the values' device and dtype are used."""
        merge = self.config.merge
        shape = (patches.rows // merge, patches.columns // merge)
        windows = Windows(*shape, self.config.window)
        x = windows.split(self.patch_embed(patches.values).unflatten(0, (*shape, merge**2)))
        angles = windows.split(self._angles(*shape, precision).to(x.device))
        present = windows.split(torch.ones(*shape, merge**2, dtype=torch.bool))
        seen = None if present.all() else present[:, None, None].to(x.device)
        inside = Rotation(angles), seen
        across = Rotation(angles.reshape(1, -1, angles.shape[-1])), _flat(seen)
        if precision == "reference":
            for rotation in (inside[0], across[0]):
                rotation.cos, rotation.sin = _rounded(rotation.cos), _rounded(rotation.sin)
        for index, layer in enumerate(self.blocks):
            callback()
            if index in self.config.full_layers:
                x = layer(x.reshape(1, -1, x.shape[-1]), *across).view_as(x)
            else:
                x = layer(x, *inside)
        return windows.join(self.merger(x))

    def _angles(self, rows: int, columns: int, precision: RopePrecision) -> Tensor:
        """Return the angles of every patch (rows, columns, patches of a block, head_size / 2).

        Half of a head turns with the row, half with the column.
        """
        config = self.config
        frequencies = inverse_frequencies(config.width // config.num_heads // 2, THETA, precision)
        down, across = torch.meshgrid(
            torch.arange(rows * config.merge), torch.arange(columns * config.merge), indexing="ij"
        )
        places = torch.stack((down, across), dim=-1)
        places = places.unflatten(1, (columns, config.merge)).unflatten(0, (rows, config.merge))
        places = places.transpose(1, 2).flatten(2, 3)
        angles = (places[..., None].float() * frequencies).flatten(-2)
        return _rounded(angles) if precision == "reference" else angles


def _rounded(values: Tensor) -> Tensor:
    """Round to bf16 and widen again, as the published code's casting does to rotary tables."""
    return values.bfloat16().to(values.dtype)


def _flat(seen: Tensor | None) -> Tensor | None:
    return None if seen is None else seen.reshape(1, 1, 1, -1)
