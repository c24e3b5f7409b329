"""The node that changes the picture of a conversation by an instruction."""

from comfy_api.latest import io

from ..ming_core import (
    SCHEDULES,
    Features,
    LatentContext,
    Marked,
    edit,
    mark,
    marking_stage,
    turn_stage,
)
from .host import models
from .host.progress import HostProgress
from .memory import EVERYTHING, LAST, memory_input, window_of
from .sampling import NO_SHIFT, image_sampling, schedule_inputs
from .schema import (
    ContextSocket,
    FeaturesSocket,
    context_input,
    features_input,
    model_input,
    node_schema,
    sampling_inputs,
    seed_input,
    widget,
)


class EditStep(io.ComfyNode):
    """Edit Step: one instruction, one new picture, a new context; the given one stays as it was."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "EditStep",
            display_name="Edit Step",
            description="Edits the picture of a context, or a given picture. Chain steps through "
            "their contexts, or start two steps from one context to branch.",
            search_aliases=["ming edit", "image edit", "instruction edit"],
            inputs=[
                model_input(),
                widget(
                    io.String,
                    "instruction",
                    multiline=True,
                    default="",
                    dynamic_prompts=True,
                    tooltip="What to change, in English or Chinese.",
                ),
                widget(
                    io.Boolean,
                    "show_region_first",
                    default=False,
                    tooltip="Let the model first draw the region it will change, then edit with "
                    "that in mind. Takes about twice as long.",
                ),
                seed_input(),
                *sampling_inputs(),
                context_input("The conversation whose last picture is edited."),
                features_input("A picture to edit; with a context as well, it joins that one."),
                *schedule_inputs(),
                memory_input(LAST),
                widget(
                    io.Mask,
                    "mask",
                    optional=True,
                    tooltip="Edit here: a mask of the given picture or of the drawn one, as Load "
                    "Image's mask editor makes it. It takes the place of the region drawn first; "
                    "patches that it does not touch stay as they are.",
                ),
            ],
            outputs=[
                ContextSocket.Output("context", tooltip="The conversation with this edit in it."),
                FeaturesSocket.Output("features", tooltip="The edited picture, for Pixel Decode."),
                FeaturesSocket.Output(
                    "region_features",
                    tooltip="The region drawn first, or the mask over the picture; quiet without "
                    "either.",
                ),
                io.String.Output("text", tooltip="What the model wrote with it, if anything."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        instruction: str,
        show_region_first: bool,
        seed: int,
        steps: int,
        solver: str,
        text_guidance: float,
        image_guidance: float,
        temperature: float,
        context: LatentContext | None = None,
        features: Features | None = None,
        schedule: str = SCHEDULES[0],
        time_shift: float = NO_SHIFT,
        memory: str = EVERYTHING,
        mask: models.Tensor | None = None,
    ) -> io.NodeOutput:
        engine = models.conversing(model)
        guidance = (text_guidance, image_guidance)
        how = (steps, solver, *guidance, temperature, schedule, time_shift)
        sampling = image_sampling(engine, *how)
        marked = None if mask is None else _mark(model, mask, context, features)
        stage = turn_stage(engine, context, features, images=1, steps=steps)
        result = edit(
            models.prepare_drawing(model, stage),
            instruction,
            seed=seed,
            sampling=sampling,
            context=context,
            features=features,
            show_region_first=marked or show_region_first,
            window=window_of(memory),
            progress=HostProgress(model.pace),
        )
        models.remark(model, instruction, result.text)
        region = models.or_quiet(result.region)
        return io.NodeOutput(result.context, result.features, region, result.text)


def _mark(
    model: models.HostedModel,
    mask: models.Tensor,
    context: LatentContext | None,
    features: Features | None,
) -> Marked:
    """Mark where the picture is to be edited, which other components are needed for."""
    engine = models.prepare(model, marking_stage(models.conversing(model)))
    return mark(engine, mask, context=context, features=features, progress=HostProgress())
