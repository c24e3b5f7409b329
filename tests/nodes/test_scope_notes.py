"""While the small model answers, nodes say what it knows, and which words it was not taught."""

import importlib
import sys
from types import SimpleNamespace

import pytest

SMALL = "bundled"


@pytest.fixture
def said(pack, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the page shows on the running node."""
    texts: list[str] = []
    page = SimpleNamespace(
        client_id="me", send_progress_text=lambda text, node, sid: texts.append(text)
    )
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=page))
    monkeypatch.setitem(sys.modules, "server", server)
    progress = importlib.import_module(f"{pack.module.__name__}.nodes.host.progress")
    monkeypatch.setattr(progress, "get_executing_context", lambda: SimpleNamespace(node_id="7"))
    return texts


def test_the_loader_says_what_the_small_model_knows(pack, said):
    model = pack.run("LoadModel", checkpoint=SMALL, precision="fp32")[0]
    assert said[-1] == "\n".join(model.engine.scope.says)


def test_words_it_was_not_taught_are_named_on_the_node(pack, said, caplog):
    model = pack.run("LoadModel", checkpoint=SMALL, precision="fp32")[0]
    inputs = {"model": model, "steps": 1, "seed": 1}
    context = pack.run("Generate", prompt="A red cat.", **inputs)[0][0]
    assert said[-1].startswith("Not among its words: cat.")
    assert "cat" in caplog.text
    answer = pack.run("Describe", model=model, question="Why?", max_tokens=4, context=context)[0]
    assert said[-1].startswith(answer) and "Not among its words: why." in said[-1]
    pack.run("EditStep", instruction="Wash the heart.", context=context, **inputs)
    assert said[-1].startswith("Not among its words: wash.")
    said.clear()
    pack.run("Generate", prompt="A red heart.", **inputs)
    assert not any("Not among" in text for text in said)
