"""The nodes between pictures, latents and semantic features."""

from typing import Final, Literal, get_args

from comfy_api.latest import io

from ..ming_core import (
    Features,
    Latents,
    as_given,
    encode_image,
    encoding_stage,
    expand,
    expanding_stage,
)
from .host import models
from .host.progress import HostProgress
from .schema import FeaturesSocket, LatentsSocket, model_input, node_schema, widget

Use = Literal["edit", "understand"]
USES = list(get_args(Use))
Fit = Literal["as published", "crop", "pad", "squash"]
BY_USE: Final = "as published"
AS_DRAWN, AS_GIVEN = "as drawn", "as given"


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
                widget(
                    io.Combo,
                    "fit",
                    options=list(get_args(Fit)),
                    default=BY_USE,
                    optional=True,
                    tooltip="How another shape becomes a square. as published: crop to edit, "
                    "squash to understand. crop: its middle. pad: all of it, with bands in the "
                    "colour of its rim. squash: all of it, stretched.",
                ),
            ],
            outputs=[LatentsSocket.Output("latents", tooltip="Normalised continuous latents.")],
        )

    @classmethod
    def execute(
        cls, model: models.HostedModel, image: models.Tensor, use: Use, fit: Fit = BY_USE
    ) -> io.NodeOutput:
        stage = encoding_stage(models.conversing(model), len(image))
        engine, how = models.prepare(model, stage), None if fit == BY_USE else fit
        return io.NodeOutput(encode_image(engine, image, use, HostProgress(), how))


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
                widget(
                    io.Combo,
                    "size",
                    options=[AS_DRAWN, AS_GIVEN],
                    default=AS_DRAWN,
                    optional=True,
                    tooltip="as drawn: the square that the model draws. as given: size and shape "
                    "of the picture that was encoded, or edited since; bands are cut off, what was "
                    "cropped away does not come back.",
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The painted pictures.")],
        )

    @classmethod
    def execute(
        cls, model: models.HostedModel, features: Features, size: str = AS_DRAWN
    ) -> io.NodeOutput:
        images = models.paint(model, features)
        return io.NodeOutput(
            models.to_host(as_given(images, features) if size == AS_GIVEN else images)
        )
