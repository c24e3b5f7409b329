"""What joins the published models: projections, learnable queries, condition head (section 2.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError
from ..foreign_text import plain
from ..operations import Operations

# The parameter that shows each size, and the axis it is on.
SIZES = {
    "vision_size": ("linear_proj.0.weight", 1),
    "hidden_size": ("proj_in.weight", 1),
    "connector_size": ("proj_in.weight", 0),
    "head_size": ("mlp.fc1.weight", 0),
    "condition_size": ("mlp.fc2.weight", 0),
}


@dataclass(frozen=True, slots=True)
class GlueConfig:
    """Sizes of the glue, which no config states: its tensors do.

    scales  sides of the square grids of queries, smallest first; the last one makes the picture
    """

    vision_size: int
    hidden_size: int
    connector_size: int
    head_size: int
    condition_size: int
    scales: tuple[int, ...]

    @classmethod
    def read(cls, shapes: Mapping[str, tuple[int, ...]]) -> "GlueConfig":
        """Read the sizes from the shapes of `mlp/model.safetensors`."""
        sizes: dict[str, int] = {}
        for size, (name, axis) in SIZES.items():
            if len(shapes.get(name, ())) != 2:
                raise ConfigError(
                    f"mlp/model.safetensors: {name} is "
                    f"{plain(shapes.get(name, 'missing'))}; expected a matrix, whose "
                    "shape says how large the model is. Download the file again."
                )
            sizes[size] = shapes[name][axis]
        named = (re.fullmatch(r"query_tokens_dict\.(\d+)x\1", name) for name in shapes)
        scales = tuple(sorted(int(match[1]) for match in named if match))
        if not scales:
            raise ConfigError(
                "mlp/model.safetensors has no query_tokens_dict.*; they are the queries that the "
                "language model answers. Download the file again."
            )
        return cls(**sizes, scales=scales)


class VisionProjection(nn.Module):
    """Features of the vision tower -> embeddings of the language model, of length 1."""

    def __init__(self, config: GlueConfig, operations: Operations) -> None:
        super().__init__()
        self.first = operations.Linear(config.vision_size, config.hidden_size)
        self.second = operations.Linear(config.hidden_size, config.hidden_size)

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., D) to (..., H)."""
        return unit_length(self.second(F.gelu(self.first(features))))


class Queries(nn.Module):
    """The learnable queries of every scale; used as they are stored, whatever their length."""

    def __init__(self, config: GlueConfig, operations: Operations) -> None:
        super().__init__()
        self.scales = config.scales
        self.tokens = nn.ModuleDict(
            {str(s): operations.Embedding(s * s, config.hidden_size) for s in config.scales}
        )

    def forward(self, device: torch.device) -> Tensor:
        """Return those of all scales, smallest first: (queries, H)."""
        rows = [
            self.tokens[str(scale)](torch.arange(scale * scale, device=device))
            for scale in self.scales
        ]
        return torch.cat(rows)


class ConditionHead(nn.Module):
    """Connected states -> what the diffusion transformer attends to: (..., H) -> (..., C)."""

    def __init__(self, config: GlueConfig, operations: Operations) -> None:
        super().__init__()
        self.fc1 = operations.Linear(config.hidden_size, config.head_size)
        self.layer_norm1 = operations.LayerNorm(config.head_size)
        self.fc2 = operations.Linear(config.head_size, config.condition_size)
        self.layer_norm2 = operations.LayerNorm(config.condition_size)

    def forward(self, states: Tensor) -> Tensor:
        """Map (..., H) to (..., C)."""
        hidden = F.relu(self.layer_norm1(self.fc1(states)))
        return self.layer_norm2(self.fc2(hidden))


def unit_length(x: Tensor) -> Tensor:
    """Scale vectors (..., D) to length 1, in fp32."""
    return F.normalize(x.float(), dim=-1, eps=1e-12).to(x.dtype)
