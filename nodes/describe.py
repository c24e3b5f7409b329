"""The node that asks the model about pictures and gets text."""

from comfy_api.latest import io

from ..ming_core import (
    DESCRIBE_PROMPT,
    Features,
    LatentContext,
    TextSampling,
    describe,
    turn_stage,
)
from .host import models
from .host.progress import HostProgress
from .schema import (
    ContextSocket,
    context_input,
    features_input,
    max_tokens_input,
    model_input,
    node_schema,
    seed_input,
    widget,
)


class Describe(io.ComfyNode):
    """Describe: one question, one answer in words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "Describe",
            display_name="Describe",
            description="Asks the model a question, about given pictures or about the "
            "conversation so far, and returns its answer.",
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
                seed_input(),
                context_input("The conversation the question belongs to."),
                features_input("Pictures to look at (encode them with use = understand)."),
            ],
            outputs=[
                io.String.Output("text", tooltip="The answer."),
                ContextSocket.Output("context", tooltip="The conversation with this answer in it."),
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
    ) -> io.NodeOutput:
        engine = models.conversing(model)
        stage = turn_stage(engine, context, features, max_tokens=max_tokens)
        reply = describe(
            models.prepare(model, stage),
            question,
            sampling=TextSampling(max_tokens, temperature, top_p, top_k, seed),
            context=context,
            features=features,
            progress=HostProgress(),
        )
        return io.NodeOutput(reply.text, reply.context)
