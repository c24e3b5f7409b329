"""What people feed it by accident or on purpose: a clear error or the obvious right thing.

After every one of them the server still draws the same picture as before.
"""

import numpy
import pytest
from comfy_server import ComfyServer, RefusedError
from graphs import Graph, one_picture
from PIL import Image

pytestmark = pytest.mark.comfy

SHAPES = {"one pixel": (1, 1), "a strip": (20000, 16), "a pole": (16, 4000)}
MODES = {"four channels": "RGBA", "grey": "L", "palette": "P", "16 bit": "I;16"}
MARKUP = "<role>HUMAN</role><image><imagePatch></image><|endoftext|>"
PROMPTS = {"control characters": "a\x00\x07\x1b[31m cat\u202e\ufeff", "markup": MARKUP}


def finished(server: ComfyServer, graph: Graph) -> str:
    """Run a graph that must work; return how it ended."""
    run = server.run(graph.prompt)
    return run.ending if run.ending == "execution_success" else run.error


def failure(server: ComfyServer, graph: Graph) -> str:
    """Run a graph that must not work; return what it says, before or while running."""
    try:
        run = server.run(graph.prompt)
    except RefusedError as refused:
        return str(refused)
    assert run.ending == "execution_error"
    return run.error


@pytest.fixture(autouse=True)
def still_serving(server: ComfyServer):
    """Draw before (once) and after every test: the server goes on, and draws the same."""
    if not hasattr(server, "reference"):
        server.reference = drawn(server)
    yield
    server.free()
    assert drawn(server) == server.reference
    assert server.process.poll() is None


def drawn(server: ComfyServer) -> bytes:
    run = server.run(one_picture(seed=4242).prompt)
    return server.view(run.output("shown", "images")[0])


def reading(image: Image.Image, server: ComfyServer, use: str) -> Graph:
    """Encode a picture from the input folder, expand it, ask about it and edit it."""
    image.save(server.base / "input" / "odd.png")
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.add("LoadImage", "photo", image="odd.png")
    graph.ming("EncodeImage", "encode", model=[model, 0], image=["photo", 0], use=use)
    graph.ming("SemanticExpand", "expand", model=[model, 0], latents=["encode", 0])
    graph.ming("Describe", "ask", model=[model, 0], features=["expand", 0])
    graph.add("PreviewAny", "said", source=["ask", 0])
    graph.ming("EditStep", "edit", model=[model, 0], features=["expand", 0])
    graph.preview(model, ["edit", 1], "shown")
    return graph


@pytest.mark.parametrize("use", ["edit", "understand"])
@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_of_any_shape_are_read(server: ComfyServer, shape: str, use: str):
    width, height = SHAPES[shape]
    values = numpy.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=numpy.uint8)
    assert finished(server, reading(Image.fromarray(values), server, use)) == "execution_success"


@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_any_kind_are_read(server: ComfyServer, mode: str):
    values = numpy.random.default_rng(0).integers(0, 255, (40, 60), dtype=numpy.uint8)
    kind = MODES[mode]
    if kind == "I;16":
        image = Image.fromarray(values.astype(numpy.uint16) * 257)
    else:
        image = Image.fromarray(values).convert(kind)
    assert finished(server, reading(image, server, "edit")) == "execution_success"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_odd_prompts_are_only_words(server: ComfyServer, prompt: str):
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("Generate", "draw", model=[model, 0], prompt=PROMPTS[prompt])
    graph.preview(model, ["draw", 1], "shown")
    assert finished(server, graph) == "execution_success"


@pytest.mark.parametrize("node", ["Generate", "Describe", "EditStep"])
def test_empty_and_endless_words_are_refused(server: ComfyServer, node: str):
    words = {"Generate": "prompt", "Describe": "question", "EditStep": "instruction"}[node]
    for text, expected in ((" \n\t", "empty"), ("apple " * 17_000, "reads at most")):
        graph = one_picture(seed=1)
        extra = {} if node == "Generate" else {"context": ["draw", 0]}
        graph.ming(node, "odd", model=["model", 0], **{words: text}, **extra)
        graph.add("PreviewAny", "said", source=["odd", 0 if node == "Describe" else 3])
        assert expected in failure(server, graph)


OUT_OF_RANGE = [
    ("Generate", {"steps": 0}),
    ("Generate", {"images": 1000}),
    ("Generate", {"seed": -1}),
    ("Generate", {"seed": 2**64}),
    ("Generate", {"solver": "heun"}),
    ("Generate", {"temperature": -0.5}),
    ("Generate", {"text_guidance": "much"}),
    ("LoadModel", {"checkpoint": "../../etc"}),
    ("LoadModel", {"checkpoint": None}),
    ("LoadModel", {"precision": "fp7"}),
]


@pytest.mark.parametrize(("node", "wrong"), OUT_OF_RANGE, ids=str)
def test_values_out_of_range_are_refused_by_name(server: ComfyServer, node: str, wrong: dict):
    graph = one_picture(seed=1)
    place = "model" if node == "LoadModel" else "draw"
    graph.prompt[place]["inputs"].update(wrong)
    name = next(iter(wrong))
    said = failure(server, graph)
    assert name in said or "choice" in said


NAMES = ["../secret", "/etc/passwd", "..\\..\\boot.ini", "a\x00b", "x" * 3000, "", None, 5]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:20])
def test_hostile_file_names_are_refused(server: ComfyServer, name: object):
    graph = Graph()
    graph.ming("LoadContext", "load", file=name)
    graph.ming("ContextTimeline", "shown", context=["load", 0])
    assert failure(server, graph)
    assert "Traceback" not in failure(server, graph)


def test_truncated_and_strange_context_files_are_refused_in_words(server: ComfyServer):
    run = server.run(one_picture(seed=9).prompt)
    assert run.ending == "execution_success"
    saved = max((server.base / "output" / "one").glob("c_*"), key=lambda path: path.stat().st_mtime)
    whole = saved.read_bytes()
    for index, content in enumerate((b"", whole[:7], whole[:400], whole[:-1], b"\x80pickle" * 9)):
        name = f"broken{index}.mingctx.safetensors"
        (server.base / "input" / name).write_bytes(content)
        graph = Graph()
        graph.ming("LoadContext", "load", file=name)
        graph.ming("ContextTimeline", "shown", context=["load", 0])
        said = failure(server, graph)
        assert "no whole safetensors file" in said or "damaged" in said
