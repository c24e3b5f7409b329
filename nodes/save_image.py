"""The node that saves pictures together with how they came about."""

from comfy_api.latest import io

from ..ming_core import LatentContext
from .host import models, pictures
from .schema import ContextSocket, Model, node_schema, widget
from .turn_records import Record, conversation_record


class SaveImage(io.ComfyNode):
    """Save Image with Context: the host's Save Image, and one text chunk more."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "SaveImage",
            display_name="Save Image with Context",
            description="Saves pictures as Save Image does and writes into them, beside the "
            "workflow, the model's identity and every turn with its seed and settings; of a model "
            "without a latent context, family, identity and precision.",
            search_aliases=["save with metadata", "save provenance", "ming save image"],
            is_output_node=True,
            inputs=[
                widget(io.Image, "images", tooltip="The pictures to save."),
                widget(
                    ContextSocket,
                    "context",
                    optional=True,
                    tooltip="The conversation that the pictures end; Ming-Lite-Uni has none.",
                ),
                widget(
                    io.String,
                    "filename_prefix",
                    default="ming/picture",
                    tooltip="Folder and beginning of the file name, inside the output folder.",
                ),
                widget(
                    Model,
                    "model",
                    optional=True,
                    tooltip="Connect the model to have its family and precision written down as "
                    "well; needed where there is no context.",
                ),
            ],
            outputs=[io.Image.Output("images", tooltip="The pictures as they came in.")],
        )

    @classmethod
    def execute(
        cls,
        images: models.Tensor,
        filename_prefix: str,
        context: LatentContext | None = None,
        model: models.HostedModel | None = None,
    ) -> io.NodeOutput:
        no_turns: Record = {"turns": []}
        record = conversation_record(context, lambda _: None) if context else no_turns
        record |= models.record_of(model, context)
        saved = pictures.save_images(images, filename_prefix, record, cls.hidden)
        return io.NodeOutput(images, ui={"images": saved})
