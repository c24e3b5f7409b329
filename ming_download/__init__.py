"""Checkpoints fetched from a hub, when a person asks for it. Knows neither engine nor host."""

from .catalogue import FAMILIES, PUBLISHED, DownloadError, Listing, RemoteFile, Repository
from .hugging_face import HuggingFace
from .model_scope import ModelScope
from .plan import Plan, describe, download, make_plan
from .transfer import Patience, Watch

SOURCES = {"Hugging Face": HuggingFace, "ModelScope": ModelScope}

__all__ = [
    "FAMILIES",
    "PUBLISHED",
    "SOURCES",
    "DownloadError",
    "HuggingFace",
    "Listing",
    "ModelScope",
    "Patience",
    "Plan",
    "RemoteFile",
    "Repository",
    "Watch",
    "describe",
    "download",
    "make_plan",
]
