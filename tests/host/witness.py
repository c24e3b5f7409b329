"""Put into a test server's custom_nodes: says in the log how many models live when one is read."""

import gc
import sys


def watch(models):
    """Wrap what reads a checkpoint, in the file of the pack that does."""
    read = models._read

    def watched(path, precision, device):
        living = [each for each in gc.get_objects() if isinstance(each, models.HostedModel)]
        print(f"WITNESS {precision} is read, {len(living)} living", flush=True)
        return read(path, precision, device)

    models._read = watched


class Watch:
    """Begin to watch; the pack is loaded by then."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "tests"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {}}

    def run(self):
        found = [name for name in sys.modules if name.endswith(".nodes.host.models")]
        watch(sys.modules[found[0]])
        return {}


NODE_CLASS_MAPPINGS = {"TestWatch": Watch}
