"""What the host keeps of earlier prompts, and options of newer hosts, as the pack reads them."""

import importlib
from argparse import Namespace
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.runtime


@pytest.fixture
def results(pack):
    return importlib.import_module(f"{pack.module.__name__}.nodes.host.results")


def test_older_results_make_way_before_a_model_is_read_and_never_for_one_that_is_held(
    pack, checkpoint, results, monkeypatch
):
    asked, read = [], pack.models._read
    memory = SimpleNamespace(extra_ram_release=lambda target: asked.append("release"))
    monkeypatch.setattr(results, "_memory", lambda: memory)
    monkeypatch.setattr(pack.models, "_read", lambda *how: asked.append("read") or read(*how))
    pack.models._loaded.clear()
    pack.models._picked.clear()
    held = [pack.run("LoadModel", checkpoint=checkpoint, precision="auto")[0] for _ in range(2)]
    assert held[0] is held[1]
    assert asked[0] == "release" and asked[-1] == "read" and asked.count("read") == 1


@pytest.mark.parametrize(
    ("memory", "options", "expected"),
    [
        (SimpleNamespace(RAM_CACHE_HEADROOM=5), Namespace(cache_ram=[7.0]), 5),
        (None, Namespace(cache_ram=4.0), 4 << 30),
        (None, Namespace(), 0),
    ],
)
def test_the_headroom_of_either_host_is_known(results, monkeypatch, memory, options, expected):
    monkeypatch.setattr(results, "_memory", lambda: memory)
    monkeypatch.setattr(results.comfy.cli_args, "args", options)
    assert results.headroom() == expected


def test_a_model_tells_the_host_its_patchers(pack, model):
    patchers = model.get_models()
    assert sum(p.model_size() for p in patchers) == model.get_ram_usage()
    assert model.patcher.model_size() == max(p.model_size() for p in patchers)
    assert model.is_dynamic()


@pytest.mark.parametrize(
    ("options", "expected"), [({"disable_cuda_graphs": True}, "0"), ({}, None)]
)
def test_a_host_told_to_record_no_graphs_is_heeded(pack, monkeypatch, options, expected):
    heed = importlib.import_module(f"{pack.module.__name__}.nodes.host.options").heed
    environment: dict[str, str] = {}
    monkeypatch.setattr("os.environ", environment)
    heed(Namespace(**options))
    assert environment.get(pack.core.GRAPH_SWITCH) == expected
