"""The node that asks the model about pictures and gets text."""

from comfy_api.latest import io

from ..ming_core import (
    DESCRIBE_PROMPT,
    AbilityError,
    Features,
    LatentContext,
    TextSampling,
    Window,
    describe,
    lite_uni,
    turn_stage,
)
from .host import models
from .host.progress import HostProgress
from .lite_schema import refuse_nothing
from .memory import EVERYTHING, memory_input, window_of
from .schema import (
    ContextSocket,
    DialogueSocket,
    context_input,
    features_input,
    max_tokens_input,
    model_input,
    node_schema,
    seed_input,
    widget,
)

MING_UNIVISION_TAKES = (
    "is Ming-UniVision, which takes pictures as features: connect Encode Image to Latent (use = "
    "understand) and Semantic Expand, and go on from context."
)
MING_LITE_UNI_TAKES = (
    "is Ming-Lite-Uni, which has no latent context and reads pictures itself: connect the picture "
    "to image, and go on from dialogue."
)
NO_WINDOW = (
    "memory and aside are about a latent context, and the connected model is Ming-Lite-Uni, which "
    f"has none: set memory to {EVERYTHING}, and switch aside off. To ask aside, let the next "
    "question go on from the dialogue before this one."
)


class Describe(io.ComfyNode):
    """Describe: one question, one answer in words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "Describe",
            display_name="Describe",
            description="Asks a model of either family a question, about given pictures or about "
            "the conversation so far, and returns its answer.",
            search_aliases=["ming caption", "visual question answering", "image to text"],
            inputs=[
                model_input(),
                widget(
                    io.String,
                    "question",
                    multiline=True,
                    default=DESCRIBE_PROMPT,
                    dynamic_prompts=True,
                    tooltip="The question, in English or Chinese.",
                ),
                max_tokens_input("The most text tokens the answer may have."),
                *cls._text_sampling(),
                seed_input("which tokens are chosen", " No effect at temperature 0."),
                context_input("The conversation the question belongs to."),
                features_input("Pictures to look at (encode them with use = understand)."),
                widget(
                    io.Image,
                    "image",
                    optional=True,
                    tooltip="For Ming-Lite-Uni: the picture the first question is about.",
                ),
                widget(
                    DialogueSocket,
                    "dialogue",
                    optional=True,
                    tooltip="For Ming-Lite-Uni: what was said so far; its picture is read again.",
                ),
                memory_input(),
                widget(
                    io.Boolean,
                    "aside",
                    default=False,
                    optional=True,
                    tooltip="Ask aside: the answer comes, and the conversation goes on as if "
                    "nothing had been asked. Questions in between make later edits worse.",
                ),
                *cls._rare_sampling(),
            ],
            outputs=[
                io.String.Output("text", tooltip="The answer."),
                ContextSocket.Output("context", tooltip="The conversation with this answer in it."),
                DialogueSocket.Output(
                    "dialogue",
                    tooltip="The same of Ming-Lite-Uni; one of the two is quiet.",
                ),
            ],
        )

    @classmethod
    def _text_sampling(cls) -> list[io.Input]:
        return [
            widget(
                io.Float,
                "temperature",
                default=0.0,
                min=0.0,
                max=2.0,
                step=0.05,
                round=0.001,
                tooltip="0 always takes the likeliest token; higher is more varied.",
            ),
            widget(
                io.Float,
                "top_p",
                default=1.0,
                min=0.01,
                max=1.0,
                step=0.01,
                round=0.001,
                tooltip="Choose among the likeliest tokens that make up this share (1 = all). "
                "No effect at temperature 0.",
            ),
            widget(
                io.Int,
                "top_k",
                default=0,
                min=0,
                max=1000,
                tooltip="Choose among this many of the likeliest tokens (0 = all). "
                "No effect at temperature 0.",
            ),
        ]

    @classmethod
    def _rare_sampling(cls) -> list[io.Input]:
        return [
            widget(
                io.Float,
                "min_p",
                default=0.0,
                min=0.0,
                max=1.0,
                step=0.01,
                round=0.001,
                optional=True,
                advanced=True,
                tooltip="Leave out tokens less likely than this share of the likeliest one's "
                "probability (0 = off). No effect at temperature 0.",
            ),
            widget(
                io.Float,
                "repetition_penalty",
                default=1.0,
                min=1.0,
                max=3.0,
                step=0.05,
                round=0.001,
                optional=True,
                advanced=True,
                tooltip="Divides the scores of tokens that the answer has already (1 = off); "
                "higher repeats less.",
            ),
        ]

    @classmethod
    def execute(
        cls,
        model: models.HostedModel,
        question: str,
        max_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        seed: int,
        context: LatentContext | None = None,
        features: Features | None = None,
        image: models.Tensor | None = None,
        dialogue: lite_uni.Dialogue | None = None,
        memory: str = EVERYTHING,
        aside: bool = False,  # noqa: FBT001, FBT002  the host calls by name
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
    ) -> io.NodeOutput:
        rare = {"min_p": min_p, "repetition_penalty": repetition_penalty}
        sampling = TextSampling(max_tokens, temperature, top_p, top_k, seed, **rare)
        if models.converses(model):
            refuse_foreign(MING_UNIVISION_TAKES, image=image, dialogue=dialogue)
            window = window_of(memory, questions=True)
            return cls._in_context(model, question, sampling, context, features, window, aside)
        refuse_foreign(MING_LITE_UNI_TAKES, context=context, features=features)
        if aside or memory != EVERYTHING:
            raise AbilityError(NO_WINDOW)
        return cls._in_words(model, question, sampling, image, dialogue)

    @classmethod
    def _in_context(
        cls,
        model: models.HostedModel,
        question: str,
        sampling: TextSampling,
        context: LatentContext | None,
        features: Features | None,
        window: Window,
        aside: bool,  # noqa: FBT001  as the widget has it
    ) -> io.NodeOutput:
        engine = models.conversing(model)
        stage = turn_stage(engine, context, features, max_tokens=sampling.max_tokens)
        reply = describe(
            models.prepare(model, stage),
            question,
            sampling=sampling,
            context=context,
            features=features,
            window=window,
            aside=aside,
            progress=HostProgress(),
        )
        models.remark(model, question, reply.text)
        return io.NodeOutput(reply.text, reply.context, models.or_quiet(None))

    @classmethod
    def _in_words(
        cls,
        model: models.HostedModel,
        question: str,
        sampling: TextSampling,
        image: models.Tensor | None,
        dialogue: lite_uni.Dialogue | None,
    ) -> io.NodeOutput:
        refuse_nothing(question, image)
        reply = lite_uni.ask(
            models.conditioned(model),
            question,
            image,
            dialogue=dialogue,
            sampling=sampling,
            progress=HostProgress(),
        )
        return io.NodeOutput(reply.text, models.or_quiet(None), reply.dialogue)


def refuse_foreign(instead: str, **inputs: object) -> None:
    """Raise AbilityError where an input is connected that the model's family knows nothing of."""
    given = [name for name, value in inputs.items() if value is not None]
    if given:
        raise AbilityError(f"{' and '.join(given)} came in, but the connected model {instead}")
