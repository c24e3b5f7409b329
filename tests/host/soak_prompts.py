"""The prompts of the soak: those that give something, on three models, and those that go wrong."""

import shutil

from bases import LITE
from comfy_server import ComfyServer, Prompt
from graphs import Graph, edit_chain, one_picture

from ming_bench.tiny_checkpoint.make import make_tiny

CHECKPOINTS = ("Ming-UniVision", "second/Ming-UniVision")
BROKEN = "broken/Ming-UniVision"
PRECISIONS = ("auto", "int8")
FULL = "full"  # a folder of the output folder, on a disk without room
KEPT = "kept"  # a folder of the output folder that no deletion reaches


def make_models(server: ComfyServer) -> None:
    """Put a second model beside the first, and one whose weights are cut short."""
    models = server.base / "models" / "ming_univision"
    make_tiny(models / "second", seed=1)
    make_tiny(models / "broken")
    shard = models / BROKEN / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])


def kinds(server: ComfyServer) -> dict[str, Graph]:
    """Return the prompts of the soak by name, for every model and precision."""
    first = {
        "picture": one_picture(seed=1, steps=8),
        "pictures": one_picture(seed=2, images=3),
        "chain": edit_chain(instruction="at noon"),
        "words": _words(),
    }
    graphs = {
        f"{name} {checkpoint} {precision}": _with(graph, checkpoint, precision)
        for name, graph in first.items()
        for checkpoint in CHECKPOINTS
        for precision in PRECISIONS
    }
    for precision in PRECISIONS:
        graphs[f"picture {LITE} {precision}"] = _with(_lite_picture(), LITE, precision)
    return graphs | {"remembered": _remembered(server)}


def host_kinds() -> dict[str, Graph]:
    """Return prompts of the host's own nodes: what grows with them is none of ours."""
    graphs = {f"colour {colour}": Graph() for colour in range(16)}
    for colour, graph in enumerate(graphs.values()):
        graph.add("EmptyImage", "made", width=64, height=64, batch_size=1, color=colour)
        graph.add("PreviewImage", "shown", images=["made", 0])
    return graphs


def wrong_prompts(server: ComfyServer) -> list[Prompt]:
    """Return prompts that end in an error: one refused at once, the others while they run."""
    refused, no_picture, other, broken = (one_picture(seed=1), Graph(), *_two_pictures())
    full, picture = _two_pictures()
    full.prompt["saved"]["inputs"]["filename_prefix"] = f"{FULL}/c"
    shown = {"images": ["shown_decode", 0], "context": ["draw", 0]}
    picture.ming("SaveImage", "saved", **shown, filename_prefix=f"{FULL}/p")
    refused.prompt["model"]["inputs"]["checkpoint"] = "missing"
    no_picture.ming("LoadModel", "model")
    no_picture.ming("EditStep", "edit", model=["model", 0])
    no_picture.preview("model", ["edit", 1], "shown")
    other.ming("LoadModel", "other", checkpoint=CHECKPOINTS[1])
    other.ming("EditStep", "edit", model=["other", 0], context=["draw", 0])
    other.preview("other", ["edit", 1], "edited")
    broken.prompt["model"]["inputs"]["checkpoint"] = BROKEN
    has_full_disk = (server.base / "output" / FULL).is_dir()
    graphs = [refused, no_picture, other, broken, *([full, picture] if has_full_disk else [])]
    return [graph.prompt for graph in graphs]


def delete_what_was_saved(server: ComfyServer) -> None:
    """Empty the output folder, and let the server forget the results whose files are gone."""
    for folder in (server.base / "output").iterdir():
        if folder.name not in (FULL, KEPT):
            shutil.rmtree(folder)
    server.free()


def _two_pictures() -> tuple[Graph, Graph]:
    return one_picture(seed=1), one_picture(seed=1)


def _words() -> Graph:
    graph = Graph()
    graph.ming("LoadModel", "model")
    graph.ming("Describe", "ask", model=["model", 0], max_tokens=30, temperature=1.0, seed=5)
    graph.add("PreviewAny", "told", source=["ask", 0])
    return graph


def _lite_picture() -> Graph:
    graph = Graph()
    graph.ming("LoadModel", "model")
    graph.lite("Generate", "draw", model=["model", 0], prompt="a cat")
    graph.add("PreviewImage", "shown", images=["draw", 0])
    return graph


def _remembered(server: ComfyServer) -> Graph:
    """Return an edit of a conversation that was saved before."""
    before = one_picture(seed=3)
    before.prompt["saved"]["inputs"]["filename_prefix"] = f"{KEPT}/c"
    (file,) = server.run(before.prompt).output("saved", "text")
    graph = Graph()
    graph.ming("LoadModel", "model")
    graph.ming("LoadContext", "load", file=file)
    graph.ming("EditStep", "edit", model=["model", 0], context=["load", 0])
    graph.preview("model", ["edit", 1], "shown")
    return graph


def _with(graph: Graph, checkpoint: str, precision: str) -> Graph:
    changed = Graph()
    changed.prompt = {name: {**node} for name, node in graph.prompt.items()}
    inputs = graph.prompt["model"]["inputs"] | {"checkpoint": checkpoint, "precision": precision}
    changed.prompt["model"]["inputs"] = inputs
    return changed
