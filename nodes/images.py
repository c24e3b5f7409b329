"""The nodes between pictures, latents and semantic features."""

from typing import Literal, get_args

from comfy_api.latest import io

from ..ming_core import Features, Latents, encode_image, encoding_stage, expand, expanding_stage
from .host import models
from .host.progress import HostProgress
from .schema import FeaturesSocket, LatentsSocket, model_input, node_schema, widget

Use = Literal["edit", "understand"]
USES = list(get_args(Use))


class EncodeImage(io.ComfyNode):
    """Encode Image to Latent: the low-level encoder of MingTok."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "EncodeImage",
            display_name="Encode Image to Latent",
            description="Turns pictures into continuous latents, in the size their use asks for.",
            search_aliases=["mingtok encode", "image to latent"],
            inputs=[
                model_input(),
                widget(io.Image, "image", tooltip="One picture, or a batch for several in a turn."),
                widget(
                    io.Combo,
                    "use",
                    options=USES,
                    default=USES[0],
                    tooltip="edit: centre crop at the size the model draws (512 when published). "
                    "understand: the whole picture at twice that, for questions about it.",
                ),
            ],
            outputs=[LatentsSocket.Output("latents", tooltip="Normalised continuous latents.")],
        )

    @classmethod
    def execute(cls, model: models.HostedModel, image: models.Tensor, use: Use) -> io.NodeOutput:
        stage = encoding_stage(models.conversing(model), len(image))
        engine = models.prepare(model, stage)
        return io.NodeOutput(encode_image(engine, image, use, HostProgress()))


class SemanticExpand(io.ComfyNode):
    """Semantic Expand: the semantic decoder of MingTok over a whole picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "SemanticExpand",
            display_name="Semantic Expand",
            description="Expands latents into the semantic features that the language model "
            "reads and the pixel decoder paints from.",
            search_aliases=["mingtok semantic decoder"],
            inputs=[
                model_input(),
                widget(LatentsSocket, "latents", tooltip="Latents of one picture or of several."),
            ],
            outputs=[FeaturesSocket.Output("features", tooltip="Semantic features.")],
        )

    @classmethod
    def execute(cls, model: models.HostedModel, latents: Latents) -> io.NodeOutput:
        stage = expanding_stage(models.conversing(model), latents)
        engine = models.prepare(model, stage)
        return io.NodeOutput(expand(engine, latents, HostProgress()))


class PixelDecode(io.ComfyNode):
    """Pixel Decode: the pixel decoder of MingTok."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "PixelDecode",
            display_name="Pixel Decode",
            description="Paints pictures from semantic features.",
            search_aliases=["mingtok decode", "latent to image"],
            inputs=[
                model_input(),
                widget(FeaturesSocket, "features", tooltip="Features of one picture or several."),
            ],
            outputs=[io.Image.Output("image", tooltip="The painted pictures.")],
        )

    @classmethod
    def execute(cls, model: models.HostedModel, features: Features) -> io.NodeOutput:
        return io.NodeOutput(models.to_host(models.paint(model, features)))
