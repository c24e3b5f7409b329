"""The nodes of the pack. Each unpacks its widgets, calls the engine once, wraps the result."""

from comfy_api.latest import ComfyExtension, io

from .context_timeline import ContextTimeline
from .contexts import LoadContext, SaveContext
from .describe import Describe
from .download import Download
from .edit import EditStep
from .generate import Generate
from .host import template_order
from .images import EncodeImage, PixelDecode, SemanticExpand
from .lite_condition import EncodePrompt, Sample
from .lite_draw import LiteEdit, LiteGenerate
from .lite_precision import RopePrecision
from .load_model import LoadModel
from .memory import TrimContext
from .prompt_list import PromptList
from .save_image import SaveImage

NODES: list[type[io.ComfyNode]] = [
    LoadModel,
    EncodeImage,
    SemanticExpand,
    Generate,
    EditStep,
    PixelDecode,
    Describe,
    SaveContext,
    LoadContext,
    TrimContext,
    ContextTimeline,
    SaveImage,
    Download,
    PromptList,
    EncodePrompt,
    Sample,
    LiteGenerate,
    LiteEdit,
    RopePrecision,
]


template_order.install()


class MingUniVisionExtension(ComfyExtension):
    """What the host asks for the nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return every node class, in the order of the documentation."""
        return list(NODES)
