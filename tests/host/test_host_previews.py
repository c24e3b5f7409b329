"""Pictures and words in the making reach the page, when its user wants them."""

import io

import pytest
from graphs import Graph, one_picture
from PIL import Image

pytestmark = pytest.mark.comfy

SLOW = 100  # flow steps; enough time for previews to be affordable at once


def picture(server, run):
    (file,) = run.output("shown", "images")
    return Image.open(io.BytesIO(server.view(file))).convert("RGB").tobytes()


def test_a_picture_is_shown_while_it_is_drawn_and_is_the_same(server):
    prompt = one_picture(seed=900, steps=SLOW).prompt
    plain = server.run(prompt)
    assert plain.previews == [], "the host's own setting is off"
    server.run(one_picture(seed=901).prompt)  # pushes the first one out of the host's cache
    watched = server.run(prompt, preview_method="auto")
    assert "draw" in watched.executed
    assert picture(server, watched) == picture(server, plain)
    assert 1 <= len(watched.previews) <= 6, "as many as are affordable on this machine"
    assert {node for node, _ in watched.previews} == {"draw"}
    shown = [Image.open(io.BytesIO(data)) for _, data in watched.previews]
    assert {(image.format, image.size) for image in shown} == {("JPEG", (512, 512))}
    drawn = [sum(is_drawn(image, row) for row in range(6)) for image in shown]
    assert drawn == sorted(set(drawn)) and drawn[0] >= 1, "every one shows more rows"


def is_drawn(image, row):
    """Whether a row of visual tokens is more than the grey of what is not drawn yet."""
    step = image.height // 6
    seam = 24  # enlarging by five smears a row sixteen pixels into the next
    middle = image.crop((0, row * step + seam, image.width, (row + 1) * step - seam))
    return any(high - low > 8 for low, high in middle.convert("RGB").getextrema())


def test_the_pictures_of_a_batch_are_shown_side_by_side(server):
    run = server.run(one_picture(seed=910, steps=SLOW, images=2).prompt, preview_method="auto")
    assert run.previews
    assert all(Image.open(io.BytesIO(data)).size == (512, 256) for _, data in run.previews)


def test_text_is_shown_as_it_is_written(server):
    graph = Graph()
    model = graph.ming("LoadModel", "model")
    graph.ming("Describe", "ask", model=[model, 0], max_tokens=60, temperature=1.5, seed=3)
    graph.add("PreviewAny", "told", source=["ask", 0])
    run = server.run(graph.prompt)
    (reply,) = run.output("told", "text")
    texts = [text for node, text in run.texts if node == "ask"]
    assert texts[-1] == reply
    assert all(after.startswith(before) for before, after in zip(texts, texts[1:], strict=False))


def test_a_saved_context_lists_its_turns(server):
    run = server.run(one_picture(seed=920).prompt)
    (name,) = run.output("saved", "text")
    assert run.texts[-1] == ("saved", f"{name}\n1. a cat -> picture")
