"""The engine of Ming-UniVision in plain PyTorch; everything not named here is private."""

from .checkpoint import load_model
from .checkpoint_files import (
    find_checkpoint,
    list_checkpoints,
    looks_whole,
    stored_quantisation,
)
from .context import LatentContext, Picture, Text, Turn
from .context_file import load_context, save_context
from .errors import (
    CheckpointError,
    ConfigError,
    ContextError,
    MingError,
    NumericsError,
    PromptError,
    RowError,
)
from .fitting import FLOATS, Room, pick_precision
from .generation import (
    Edit,
    decode_pixels,
    describe,
    edit,
    encode_image,
    expand,
    generate,
    vision_memory,
    working_memory,
)
from .model import MingModel
from .operations import ExpertLinear, Experts, Leaf, Operations, TorchOperations
from .pixels import to_pil
from .progress import Progress, SilentProgress, Sketch
from .prompt import DESCRIBE_PROMPT, GENERATE_PREFIX, Exchange, region_prompt
from .prompt_rows import LIST_SUFFIXES, PROMPT, Row, read_rows, rows_of
from .quantisation import QUANTISATIONS, check_format
from .residency import give_slots, slots_within
from .sampling import SOLVERS, ImageSampling, TextSampling
from .turn import Reply
from .values import Features, Latents

__all__ = [
    "DESCRIBE_PROMPT",
    "FLOATS",
    "GENERATE_PREFIX",
    "LIST_SUFFIXES",
    "PROMPT",
    "QUANTISATIONS",
    "SOLVERS",
    "CheckpointError",
    "ConfigError",
    "ContextError",
    "Edit",
    "Exchange",
    "ExpertLinear",
    "Experts",
    "Leaf",
    "Features",
    "ImageSampling",
    "LatentContext",
    "Latents",
    "MingError",
    "MingModel",
    "NumericsError",
    "Operations",
    "Picture",
    "Progress",
    "PromptError",
    "Reply",
    "Room",
    "Row",
    "RowError",
    "SilentProgress",
    "Sketch",
    "Text",
    "TextSampling",
    "TorchOperations",
    "Turn",
    "check_format",
    "decode_pixels",
    "describe",
    "edit",
    "encode_image",
    "expand",
    "find_checkpoint",
    "generate",
    "give_slots",
    "list_checkpoints",
    "load_context",
    "load_model",
    "looks_whole",
    "pick_precision",
    "read_rows",
    "region_prompt",
    "rows_of",
    "save_context",
    "slots_within",
    "stored_quantisation",
    "to_pil",
    "vision_memory",
    "working_memory",
]
