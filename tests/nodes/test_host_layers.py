"""The host's layers, as far as fused kernels ask them."""

import importlib

import pytest
import torch

pytestmark = pytest.mark.runtime
CPU = torch.device("cpu")


def test_a_weight_that_the_host_changes_on_its_way_is_not_read_as_it_is(pack):
    layers = importlib.import_module(f"{pack.module.__name__}.nodes.host.layers")
    kernels = importlib.import_module(f"{pack.core.__name__}.kernels.choice")
    layer = layers.HostLinear(8, 4)
    x = torch.empty(1, 8)
    assert layer.is_on(CPU)
    assert not layer.is_on(torch.device("meta"))
    assert kernels._read(x, layer) is not None
    layer.weight_function = [lambda weight: 2 * weight]
    assert kernels._read(x, layer) is None


def test_a_streamed_layer_has_the_weight_and_bias_that_the_host_asks_for(pack, lite):
    leaves = [m for part in lite.engine.components.values() for m in part.modules()]
    streamed = [leaf for leaf in leaves if hasattr(leaf, "comfy_cast_weights")]
    assert {type(leaf).__name__ for leaf in streamed} >= {"HostTable"}
    assert all(hasattr(leaf, name) for leaf in streamed for name in ("weight", "bias"))
