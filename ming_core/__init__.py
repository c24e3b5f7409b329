"""The engine in plain PyTorch; everything not named here is private."""

from . import lite_uni
from .abilities import CONDITION, DESCRIBE, EDIT, GENERATE, LATENT_CONTEXT, require
from .checkpoint import LoadedModel
from .errors import (
    AbilityError,
    CheckpointError,
    ConfigError,
    ContextError,
    ForeignError,
    MingError,
    NumericsError,
    PromptError,
    RowError,
)
from .families import (
    folders_of,
    list_checkpoints,
    load_model,
    looks_whole,
    pick_precision,
    stored_quantisation,
    unreadable_configs,
)
from .fitting import FLOATS, Room
from .foreign_files import entries_of, is_plain_file, read_text
from .foreign_json import parse_json
from .foreign_text import is_text, plain, several, shown
from .graph import SWITCH as GRAPH_SWITCH
from .operations import ExpertLinear, Experts, Leaf, Operations, TorchOperations
from .pixels import to_pil
from .processor_speed import measured_speeds
from .progress import Preview, Progress
from .prompt_rows import LIST_SUFFIXES, PROMPT, SEED, Row, file_name, read_rows, rows_of
from .quantisation import QUANTISATIONS
from .residency import give_slots, slots_within
from .sampling import TextSampling
from .stages import Stage
from .univision.context import LatentContext, Picture, Text, Turn
from .univision.context_file import load_context, save_context
from .univision.generation import Edit, describe, edit, generate, trim
from .univision.images import as_given, decode_pixels, encode_image, expand, paint_speck
from .univision.marking import Marked, mark
from .univision.memory import (
    encoding_stage,
    expanding_stage,
    marking_stage,
    painting_stage,
    turn_stage,
    working_memory,
)
from .univision.model import MingModel
from .univision.prompt import DESCRIBE_PROMPT, GENERATE_PREFIX, Exchange, region_prompt
from .univision.sampling import SCHEDULES, SOLVERS, ImageSampling
from .univision.turn import Reply
from .univision.values import Features, Latents
from .univision.windows import ALL, Window
from .written_numbers import number, switch, whole_number

__all__ = [
    "ALL",
    "CONDITION",
    "DESCRIBE",
    "DESCRIBE_PROMPT",
    "EDIT",
    "FLOATS",
    "GENERATE",
    "GENERATE_PREFIX",
    "GRAPH_SWITCH",
    "LATENT_CONTEXT",
    "LIST_SUFFIXES",
    "PROMPT",
    "QUANTISATIONS",
    "SCHEDULES",
    "SEED",
    "SOLVERS",
    "AbilityError",
    "CheckpointError",
    "ConfigError",
    "ContextError",
    "Edit",
    "Exchange",
    "ExpertLinear",
    "Experts",
    "Features",
    "ForeignError",
    "ImageSampling",
    "LatentContext",
    "Latents",
    "Leaf",
    "LoadedModel",
    "Marked",
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
    "Preview",
    "Stage",
    "Text",
    "TextSampling",
    "TorchOperations",
    "Turn",
    "Window",
    "as_given",
    "decode_pixels",
    "describe",
    "edit",
    "encode_image",
    "encoding_stage",
    "entries_of",
    "expand",
    "expanding_stage",
    "file_name",
    "folders_of",
    "generate",
    "give_slots",
    "is_plain_file",
    "is_text",
    "lite_uni",
    "list_checkpoints",
    "load_context",
    "load_model",
    "looks_whole",
    "mark",
    "marking_stage",
    "measured_speeds",
    "number",
    "paint_speck",
    "painting_stage",
    "parse_json",
    "pick_precision",
    "plain",
    "read_rows",
    "read_text",
    "region_prompt",
    "require",
    "rows_of",
    "save_context",
    "several",
    "shown",
    "slots_within",
    "stored_quantisation",
    "switch",
    "to_pil",
    "trim",
    "turn_stage",
    "unreadable_configs",
    "whole_number",
    "working_memory",
]
