"""What the seven folders of a checkpoint say, as frozen values that fit each other.

Each part reads its own config; here they are put together and held against one another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config_section import Section
from ..errors import ConfigError
from ..foreign_files import is_plain_file
from ..foreign_text import shown
from ..tensor_files import read_json
from .diffusion_config import AutoencoderConfig, DiffusionConfig
from .folders import AUTOENCODER, CONNECTOR, LANGUAGE, SCHEDULER, TRANSFORMER, VISION
from .glue import GlueConfig
from .qwen import QwenConfig
from .schedule import Schedule
from .vision import VisionConfig

SANA = "SanaTransformer2DModel"


@dataclass(frozen=True, slots=True)
class LiteUniConfig:
    """Everything the engine needs to know to build a model.

    stops  tokens that end an answer besides the template's own (`generation_config.json`)
    """

    vision: VisionConfig
    language: QwenConfig
    connector: QwenConfig
    glue: GlueConfig
    diffusion: DiffusionConfig
    autoencoder: AutoencoderConfig
    schedule: Schedule
    stops: frozenset[int]

    @classmethod
    def read(cls, root: Path, glue: Mapping[str, tuple[int, ...]]) -> "LiteUniConfig":
        """Read the configs of a checkpoint folder.

        glue  shapes of the tensors of `mlp/model.safetensors`, which has no config
        """
        refuse_relatives(root)
        connector = _section(root, CONNECTOR)
        connector.only("rope_scaling", supported=None)
        config = cls(
            vision=VisionConfig.read(_section(root, VISION)),
            language=QwenConfig.read(_section(root, LANGUAGE)),
            connector=QwenConfig.read(connector),
            glue=GlueConfig.read(glue),
            diffusion=DiffusionConfig.read(_section(root, TRANSFORMER)),
            autoencoder=AutoencoderConfig.read(_section(root, AUTOENCODER)),
            schedule=Schedule.read(_section(root, SCHEDULER, "scheduler_config.json")),
            stops=_stops(root / LANGUAGE / "generation_config.json"),
        )
        config.check()
        return config

    def check(self) -> None:
        """Refuse parts that do not fit each other."""
        self.language.check_axes()
        glue = self.glue
        for first, size, second, other in (
            (f"{VISION} out_hidden_size", self.vision.out_size, "linear_proj.0", glue.vision_size),
            (f"{LANGUAGE} hidden_size", self.language.hidden_size, "proj_in", glue.hidden_size),
            (
                f"{CONNECTOR} hidden_size",
                self.connector.hidden_size,
                "proj_in's rows",
                glue.connector_size,
            ),
            (
                f"{TRANSFORMER} caption_channels",
                self.diffusion.caption_channels,
                "mlp.fc2's rows",
                glue.condition_size,
            ),
            (
                f"{TRANSFORMER} in_channels",
                self.diffusion.channels,
                f"{AUTOENCODER} latent_channels",
                self.autoencoder.latent_channels,
            ),
        ):
            if size != other:
                raise ConfigError(
                    f"The checkpoint's parts do not fit: {first} is {size}, {second} {other}. "
                    "They belong to different checkpoints."
                )


def refuse_relatives(root: Path) -> None:
    """Refuse a later model of the same makers, by the class its transformer names."""
    name = read_json(root / TRANSFORMER / "config.json").get("_class_name")
    if name != SANA:
        raise ConfigError(
            f"{root} has the transformer {shown(name)}; Ming-Lite-Uni has {SANA!r}. It is a later "
            "model, such as Ming-Lite-Omni, which this pack does not run."
        )


def _section(root: Path, folder: str, name: str = "config.json") -> Section:
    return Section(read_json(root / folder / name), folder)


def _stops(path: Path) -> frozenset[int]:
    """Read the end tokens of `generation_config.json`, one or a list; it may be missing."""
    listed: Any = read_json(path).get("eos_token_id") if is_plain_file(path) else None
    stops = listed if isinstance(listed, list) else [] if listed is None else [listed]
    if not all(isinstance(stop, int) and not isinstance(stop, bool) for stop in stops):
        raise ConfigError(f"{path}: eos_token_id is {shown(listed)}; expected token ids.")
    return frozenset(stops)
