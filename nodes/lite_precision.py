"""The node that chooses how exactly Ming-Lite-Uni computes where a token stands."""

from comfy_api.latest import io

from ..ming_core import lite_uni
from .host import models
from .lite_schema import lite_model_input
from .schema import Model, lite_schema, widget


class RopePrecision(io.ComfyNode):
    """Rotary Precision: the same model, with rotary angles exact or rounded as published."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return lite_schema(
            "RopePrecision",
            display_name="Rotary Precision (Lite-Uni)",
            description="Gives the model on with another precision of its rotary positions. No "
            "weight is copied; both share the memory.",
            search_aliases=["ming lite uni", "rope"],
            inputs=[
                lite_model_input(),
                widget(
                    io.Combo,
                    "rope_precision",
                    options=list(lite_uni.ROPE_PRECISIONS),
                    default=lite_uni.ROPE_PRECISIONS[0],
                    tooltip="fp32: exact angles, what models without this node use. reference: "
                    "rounded to bf16 as in the published code.",
                ),
            ],
            outputs=[Model.Output("model", tooltip="The model with this precision.")],
        )

    @classmethod
    def execute(
        cls, model: models.HostedModel, rope_precision: lite_uni.RopePrecision
    ) -> io.NodeOutput:
        return io.NodeOutput(models.with_rope_precision(model, rope_precision))
