"""The node that saves pictures together with how they came about."""

from comfy_api.latest import io

from ..ming_core import LatentContext
from .host import models, pictures
from .schema import ContextSocket, Model, node_schema, widget
from .turn_records import conversation_record


class SaveImage(io.ComfyNode):
    """Save Image with Context: the host's Save Image, and one text chunk more."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "SaveImage",
            display_name="Save Image with Context",
            description="Saves pictures as Save Image does and writes into them, beside the "
            "workflow, the model's identity and every turn with its seed and settings.",
            is_output_node=True,
            inputs=[
                widget(io.Image, "images", tooltip="The pictures to save."),
                widget(ContextSocket, "context", tooltip="The conversation that the pictures end."),
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
                    tooltip="Connect the model to have its precision written down as well.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls,
        images: models.Tensor,
        context: LatentContext,
        filename_prefix: str,
        model: models.HostedModel | None = None,
    ) -> io.NodeOutput:
        record = conversation_record(context, lambda _: None)
        record["precision"] = models.precision_of(model, context)
        saved = pictures.save_images(images, filename_prefix, record, cls.hidden)
        return io.NodeOutput(ui={"images": saved})
