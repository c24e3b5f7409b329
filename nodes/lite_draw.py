"""Drawing with Ming-Lite-Uni in one node: from a prompt, or from a picture and an instruction."""

from comfy_api.latest import io

from ..ming_core import lite_uni
from .host import models
from .host.progress import HostProgress
from .lite_schema import (
    BINNED,
    EXACT,
    LIKE_INPUT,
    lite_model_input,
    refuse_nothing,
    sampling_inputs,
    sampling_of,
    words_input,
)
from .schema import lite_schema, seeds_of, widget


class LiteGenerate(io.ComfyNode):
    """Generate: a prompt becomes pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return lite_schema(
            "Generate",
            display_name="Generate (Lite-Uni)",
            description="Draws pictures from a prompt with Ming-Lite-Uni: Encode Prompt and Sample "
            "in one node.",
            search_aliases=["ming lite uni", "text to image"],
            inputs=[
                lite_model_input(),
                words_input("prompt", "What to draw, in English or Chinese."),
                *sampling_inputs((BINNED, EXACT), BINNED),
            ],
            outputs=[io.Image.Output("image", tooltip="The pictures, as a batch.")],
        )

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        prompt: str,
        seed: int,
        images: int,
        steps: int,
        guidance: float,
        shift: float,
        size_mode: lite_uni.SizeMode,
        width: int,
        height: int,
    ) -> io.NodeOutput:
        engine = models.conditioned(model)
        refuse_nothing(prompt, None)
        pictures = lite_uni.generate(
            engine,
            prompt,
            seeds=seeds_of(seed, images),
            size=(height, width),
            mode=size_mode,
            sampling=sampling_of(steps, guidance, shift),
            progress=HostProgress(model.pace),
        )
        return io.NodeOutput(models.to_host(pictures))


class LiteEdit(io.ComfyNode):
    """Edit: a picture is drawn anew as an instruction says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return lite_schema(
            "Edit",
            display_name="Edit (Lite-Uni)",
            description="Draws a picture anew as an instruction says. The family has no latent "
            "context: each edit reads the picture it is given, and nothing that came before.",
            search_aliases=["ming lite uni", "image edit", "instruction edit"],
            inputs=[
                lite_model_input(),
                widget(io.Image, "image", tooltip="The picture to edit; one."),
                words_input("instruction", "What to change, in English or Chinese."),
                *sampling_inputs((LIKE_INPUT, BINNED, EXACT), LIKE_INPUT),
            ],
            outputs=[io.Image.Output("image", tooltip="The edited pictures, as a batch.")],
        )

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        image: models.Tensor,
        instruction: str,
        seed: int,
        images: int,
        steps: int,
        guidance: float,
        shift: float,
        size_mode: lite_uni.SizeMode,
        width: int,
        height: int,
    ) -> io.NodeOutput:
        pictures = lite_uni.edit(
            models.conditioned(model),
            image,
            instruction,
            seeds=seeds_of(seed, images),
            size=(height, width),
            mode=size_mode,
            sampling=sampling_of(steps, guidance, shift),
            progress=HostProgress(model.pace),
        )
        return io.NodeOutput(models.to_host(pictures))
