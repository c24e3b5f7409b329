"""The nodes that keep a conversation and bring it back."""

from comfy_api.latest import io

from ..ming_core import LatentContext, load_context
from . import host
from .schema import ContextSocket, node_schema, widget


class SaveContext(io.ComfyNode):
    """Save Latent Context: the conversation becomes one file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "SaveContext",
            display_name="Save Latent Context",
            description="Saves the conversation into the output folder, to go on from it later "
            "or on another machine.",
            is_output_node=True,
            inputs=[
                widget(ContextSocket, "context", tooltip="The conversation to save."),
                widget(
                    io.String,
                    "filename_prefix",
                    default="ming/context",
                    tooltip="Folder and beginning of the file name, inside the output folder.",
                ),
            ],
            outputs=[io.String.Output("file", tooltip="The name Load Latent Context knows it by.")],
        )

    @classmethod
    def execute(cls, context: LatentContext, filename_prefix: str) -> io.NodeOutput:
        file = host.write_context(context, filename_prefix)
        return io.NodeOutput(file, ui={"text": [file]})


class LoadContext(io.ComfyNode):
    """Load Latent Context: a saved file becomes the conversation it was."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "LoadContext",
            display_name="Load Latent Context",
            description="Brings back a saved conversation. It goes on only with the model that "
            "made it.",
            inputs=[
                widget(
                    io.Combo,
                    "file",
                    options=host.contexts().choices(),
                    tooltip="A saved context in the input folder, or [output] in the output one.",
                )
            ],
            outputs=[ContextSocket.Output("context", tooltip="The conversation.")],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool | str:
        return host.contexts().problem(file) or True

    @classmethod
    def fingerprint_inputs(cls, file: str) -> str:
        return host.contexts().fingerprint(file)

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        return io.NodeOutput(load_context(host.contexts().resolve(file)))
