"""The node that answers a prompt with pictures, or with what the model itself decides."""

from comfy_api.latest import io

from ..ming_core import (
    GENERATE_PREFIX,
    SCHEDULES,
    Features,
    LatentContext,
    PromptError,
    TextSampling,
    generate,
    turn_stage,
)
from .host import models
from .host.progress import HostProgress
from .memory import EVERYTHING, memory_input, remembered
from .sampling import NO_SHIFT, image_sampling, schedule_inputs
from .schema import (
    MOST_IMAGES,
    ContextSocket,
    FeaturesSocket,
    LatentsSocket,
    context_input,
    features_input,
    images_input,
    max_tokens_input,
    model_input,
    node_schema,
    sampling_inputs,
    seed_input,
    seeds_of,
    widget,
)

PICTURE, MODEL_DECIDES = "picture", "model decides"


class Generate(io.ComfyNode):
    """AR Generate: one turn of the conversation, drawn token by token."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "Generate",
            display_name="AR Generate",
            description="Draws pictures from a prompt, token by token. Every picture is its own "
            "branch: connect a context to go on from it.",
            search_aliases=["text to image", "ming generate", "autoregressive"],
            inputs=[*cls._widgets(), *cls._sockets()],
            outputs=[
                ContextSocket.Output(
                    "context", is_output_list=True, tooltip="One conversation per picture."
                ),
                FeaturesSocket.Output(
                    "features", is_output_list=True, tooltip="Features, for Pixel Decode or edits."
                ),
                LatentsSocket.Output(
                    "latents", is_output_list=True, tooltip="The drawn latents, normalised."
                ),
                io.String.Output(
                    "text", is_output_list=True, tooltip="What the model wrote, if it wrote."
                ),
            ],
        )

    @classmethod
    def _widgets(cls) -> list[io.Input]:
        return [
            model_input(),
            widget(
                io.String,
                "prompt",
                multiline=True,
                default=GENERATE_PREFIX,
                dynamic_prompts=True,
                tooltip="What to draw, in English or Chinese, behind the published opening words.",
            ),
            seed_input(),
            images_input("Pictures to draw at once; picture i uses seed + i."),
            *sampling_inputs(),
            widget(
                io.Combo,
                "reply",
                options=[PICTURE, MODEL_DECIDES],
                default=PICTURE,
                advanced=True,
                tooltip="picture: always draws one. model decides: it may answer with text, "
                "a picture, or both; outputs it does not fill stay quiet.",
            ),
            max_tokens_input(
                "The most text tokens the model may write where it decides.", advanced=True
            ),
        ]

    @classmethod
    def _sockets(cls) -> list[io.Input]:
        return [
            context_input("The conversation so far; without one a new one begins."),
            features_input("Pictures the prompt speaks of, shown to the model in this turn."),
            widget(
                io.Boolean,
                "prompt_per_line",
                default=False,
                optional=True,
                advanced=True,
                tooltip="Every line of the prompt is a prompt of its own: all are drawn at once "
                "from the same context, and seeds count on from line to line. Opening words in one "
                "line count for all; # in front passes a line over.",
            ),
            *schedule_inputs(),
            memory_input(),
        ]

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        prompt: str,
        seed: int,
        images: int,
        steps: int,
        solver: str,
        text_guidance: float,
        image_guidance: float,
        temperature: float,
        reply: str,
        max_tokens: int,
        context: LatentContext | None = None,
        features: Features | None = None,
        prompt_per_line: bool = False,  # noqa: FBT001, FBT002  the host calls by name
        schedule: str = SCHEDULES[0],
        time_shift: float = NO_SHIFT,
        memory: str = EVERYTHING,
    ) -> io.NodeOutput:
        how = (steps, solver, text_guidance, image_guidance, temperature, schedule, time_shift)
        sampling = image_sampling(models.conversing(model), *how)
        prompts = prompts_of(prompt, images) if prompt_per_line else [prompt]
        pictures = images * len(prompts)
        stage = turn_stage(
            models.conversing(model),
            context,
            features,
            images=pictures,
            max_tokens=max_tokens,
            steps=steps,
            prompts=len(prompts),
        )
        engine = models.prepare_drawing(model, stage)
        replies = generate(
            engine,
            prompts,
            seeds=seeds_of(seed, pictures),
            sampling=sampling,
            context=remembered(engine, context, memory),
            features=features,
            text=TextSampling(max_tokens, seed=seed) if reply == MODEL_DECIDES else None,
            progress=HostProgress(model.pace),
        )
        texts = [reply.text for reply in replies]
        models.remark(model, " ".join(prompts), "\n".join(texts))
        drawn = [models.or_quiet(reply.features) for reply in replies]
        latents = [models.or_quiet(reply.latents) for reply in replies]
        return io.NodeOutput([reply.context for reply in replies], drawn, latents, texts)


def prompts_of(text: str, images: int) -> list[str]:
    """Return the prompts of a text with one a line; opening words anywhere in it count for all.

    Raises PromptError when there is none, or for more pictures than are drawn at once.
    """
    opening = GENERATE_PREFIX.strip()
    said = (line.strip() for line in text.splitlines())
    lines = [line.removeprefix(opening).strip() for line in said if not line.startswith("#")]
    lines = [line for line in lines if line]
    if not lines:
        raise PromptError(
            "prompt_per_line is on, and the prompt has no line to draw. Write one prompt a line "
            "(lines with # in front are passed over), or switch it off."
        )
    if len(lines) * images > MOST_IMAGES:
        raise PromptError(
            f"{len(lines)} prompts with {images} images each are {len(lines) * images} pictures; "
            f"at most {MOST_IMAGES} are drawn at once. Use fewer lines, or a Prompt List, which "
            "draws one after the other."
        )
    return [f"{opening} {line}" if opening in text else line for line in lines]
