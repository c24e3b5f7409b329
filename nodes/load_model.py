"""The node that loads a checkpoint."""

import logging

from comfy_api.latest import io

from .folders import AUTO
from .host import files, models
from .host.precision import PRECISIONS
from .host.progress import HostProgress
from .schema import Model, node_schema, widget


class LoadModel(io.ComfyNode):
    """Load MingUniVision: a checkpoint folder becomes the model every other node takes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "LoadModel",
            display_name="Load MingUniVision",
            description="Loads a Ming-UniVision checkpoint folder together with MingTok-Vision, "
            "or a Ming-Lite-Uni folder.",
            search_aliases=["ming", "univision", "lite uni", "checkpoint loader"],
            inputs=[
                widget(
                    io.Combo,
                    "checkpoint",
                    options=files.checkpoints().offered() or [AUTO],
                    default=AUTO,
                    tooltip="A folder in models/ming_univision. auto takes the largest "
                    "Ming-UniVision there, or the small bundled model when there is none; auto: "
                    "Ming-Lite-Uni takes the largest of that family.",
                ),
                widget(
                    io.Combo,
                    "precision",
                    options=list(PRECISIONS),
                    default=AUTO,
                    tooltip="Number format of the weights. auto: the most exact one that fits the "
                    "free memory: bf16 (or fp16; a CPU tries fp32 first), int8, int4-experts, "
                    "int4. int8: the large matrices in 8 bits, half the memory of bf16; "
                    "int4-experts: experts in 4 bits, a third; int4: the flow head as well. "
                    "Pictures differ a little, with int4 more.",
                ),
            ],
            outputs=[Model.Output("model", tooltip="The loaded model.")],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None) -> bool | str:
        # The host hands None for a linked input, whose value it does not know yet.
        return checkpoint is None or files.checkpoints().problem(checkpoint) or True

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, **_others: str) -> str:
        return files.checkpoints().fingerprint(checkpoint)

    @classmethod
    def execute(cls, checkpoint: str, precision: str) -> io.NodeOutput:
        model = models.load(checkpoint, precision)
        if scope := models.scope_of(model):
            HostProgress().say(scope)
        if (broken := files.checkpoints().passed_over(checkpoint)) is not None:
            logging.getLogger("ming").warning(broken)
            HostProgress().say(broken)  # the last word, so that it stays on the node
        return io.NodeOutput(model)
