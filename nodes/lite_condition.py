"""The two halves of drawing with Ming-Lite-Uni: a prompt is encoded, a condition is sampled."""

from comfy_api.latest import io

from ..ming_core import lite_uni
from .host import models
from .host.progress import HostProgress
from .lite_schema import (
    BINNED,
    condition_output,
    lite_model_input,
    refuse_nothing,
    sampling_inputs,
    sampling_of,
    words_input,
)
from .schema import ConditionSocket, lite_schema, seeds_of, widget


class EncodePrompt(io.ComfyNode):
    """Encode Prompt: the language model reads it, once for every seed and guidance."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return lite_schema(
            "EncodePrompt",
            display_name="Encode Prompt (Lite-Uni)",
            description="Turns a prompt, and a picture to edit if there is one, into a condition. "
            "This is the half that needs the language model; it runs again only when the words or "
            "the picture change.",
            search_aliases=["ming lite uni", "text encode", "prompt to condition"],
            inputs=[
                lite_model_input(),
                words_input(
                    "prompt", "What to draw, or what to change in the picture; English or Chinese."
                ),
                widget(io.Image, "image", optional=True, tooltip="A picture to edit; one."),
            ],
            outputs=[condition_output()],
        )

    @classmethod
    def execute(
        cls, model: models.HostedModel, prompt: str, image: models.Tensor | None = None
    ) -> io.NodeOutput:
        engine = models.conditioned(model)
        refuse_nothing(prompt, image)
        return io.NodeOutput(lite_uni.encode(engine, prompt, image, progress=HostProgress()))


class Sample(io.ComfyNode):
    """Sample: the diffusion model draws what a condition asks for, one picture per seed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return lite_schema(
            "Sample",
            display_name="Sample (Lite-Uni)",
            description="Draws pictures from a condition. This is the half that needs the "
            "diffusion model only: other seeds, steps, guidance or sizes leave the condition as "
            "it is.",
            search_aliases=["ming lite uni", "sampler", "diffusion", "condition to image"],
            inputs=[
                lite_model_input(),
                widget(ConditionSocket, "condition", tooltip="From Encode Prompt (Lite-Uni)."),
                *sampling_inputs(lite_uni.SIZE_MODES, BINNED),
            ],
            outputs=[io.Image.Output("image", tooltip="The pictures, as a batch.")],
        )

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        condition: lite_uni.Condition,
        seed: int,
        images: int,
        steps: int,
        guidance: float,
        shift: float,
        size_mode: lite_uni.SizeMode,
        width: int,
        height: int,
    ) -> io.NodeOutput:
        pictures = lite_uni.sample(
            models.conditioned(model),
            condition,
            seeds=seeds_of(seed, images),
            size=(height, width),
            mode=size_mode,
            sampling=sampling_of(steps, guidance, shift),
            progress=HostProgress(model.pace),
        )
        return io.NodeOutput(models.to_host(pictures))
