"""Put into a test server's custom_nodes: lets it believe in a device that is too small.

There is no accelerator where the tests run. The host's own patchers are told to bring a share of
each model to the device and to stream the rest, as `--lowvram` and `--novram` make them do; and a
node lets go of every model, as a large one of another pack would.
"""

import comfy.model_management as mm
import torch

SHARE = 1.0  # replaced when the file is copied


def load_a_share(models, memory_required=0, **_others):
    """Stand in for the host's `load_models_gpu`: each model gets its share of the device."""
    for patcher in models:
        patcher.detach()
        patcher.partially_load(torch.device("cpu"), SHARE * patcher.model_size() + 0.1)


class LetGo:
    """Unload every model, and hand on what came in."""

    RETURN_TYPES = ("MINGUV_CONTEXT",)
    FUNCTION = "run"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"context": ("MINGUV_CONTEXT",)}}

    def run(self, context):
        mm.unload_all_models()
        return (context,)


if SHARE < 1:
    mm.load_models_gpu = load_a_share
NODE_CLASS_MAPPINGS = {"TestLetGo": LetGo}
