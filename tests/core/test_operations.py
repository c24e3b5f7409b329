"""Every weighted layer comes from the namespace, and reads its weights in `forward` alone."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ming_core import (
    ImageSampling,
    MingModel,
    TextSampling,
    TorchOperations,
    decode_pixels,
    describe,
    encode_image,
    expand,
    generate,
    load_model,
)
from ming_core.operations import ExpertLinear

NAMES = ("Linear", "LargeLinear", "HeadLinear", "ExpertLinear")
NAMES += ("Conv2d", "LayerNorm", "RMSNorm", "Embedding")
BARE = {"cls_token", "pos_embed"}


def namespace(wrap) -> type:
    """Return operations whose classes are made from torch's by `wrap`."""
    every = {n: wrap(n, getattr(TorchOperations, n)) for n in NAMES}
    return type("Wrapped", (TorchOperations,), every)


def everything(model: MingModel, photo: Tensor) -> list[Tensor]:
    features = expand(model, encode_image(model, photo, "edit"))
    one = ImageSampling(steps=1)
    drawn = generate(model, "a star", seeds=[1], sampling=one, features=features)[0]
    describe(model, "what?", sampling=TextSampling(max_tokens=3), context=drawn.context)
    segment = drawn.context.segments[-1]
    return [features.values, drawn.latents.values, segment.keys, decode_pixels(model, features)]


def test_every_parameter_but_two_lives_in_a_layer_of_the_namespace(tiny: Path):
    made: set[int] = set()

    def recording(name: str, base: type) -> type:
        def start(self: nn.Module, *sizes: object, **options: object) -> None:
            base.__init__(self, *sizes, **options)
            made.add(id(self))

        return type(name, (base,), {"__init__": start})

    loaded = load_model(tiny, operations=namespace(recording))
    strangers = [
        f"{component}.{name}.{parameter}"
        for component, root in loaded.components.items()
        for name, module in root.named_modules()
        for parameter, _ in module.named_parameters(recurse=False)
        if id(module) not in made and parameter not in BARE
    ]
    assert not strangers
    kinds = {type(m).__name__ for root in loaded.components.values() for m in root.modules()}
    assert kinds >= set(NAMES)


class Guard:
    """Says whether weights may be read just now."""

    closed = False


def guarded(name: str, base: type) -> type:
    """A layer whose weights can be read inside its own `forward` and nowhere else."""

    def forward(self: nn.Module, *inputs: object) -> Tensor:
        was, Guard.closed = Guard.closed, False
        try:
            return base.forward(self, *inputs)
        finally:
            Guard.closed = was

    def getattr_(self: nn.Module, key: str) -> object:
        assert not (Guard.closed and key in ("weight", "bias")), f"{name}.{key} outside forward"
        return base.__getattr__(self, key)

    return type(name, (base,), {"forward": forward, "__getattr__": getattr_})


def test_weights_are_read_in_forward_and_nowhere_else(tiny: Path, model: MingModel, photo: Tensor):
    loaded = load_model(tiny, operations=namespace(guarded))
    Guard.closed = True
    try:
        ours = everything(loaded, photo)
        with pytest.raises(AssertionError, match="outside"):
            _ = loaded.parts.language_model.transformer.lm_head.weight
    finally:
        Guard.closed = False
    assert all(torch.equal(a, b) for a, b in zip(ours, everything(model, photo), strict=True))


def test_a_host_gives_one_expert_at_a_time(tiny: Path, model: MingModel, photo: Tensor):
    fetched: list[tuple[int, ...]] = []

    class Streaming(ExpertLinear):
        def fetch(self, tensor: Tensor, like: Tensor) -> Tensor:
            fetched.append(tuple(tensor.shape))
            return tensor.clone().to(like)

    streaming = type("Streamed", (TorchOperations,), {"ExpertLinear": Streaming})
    loaded = load_model(tiny, operations=streaming)
    ours = everything(loaded, photo)
    assert all(torch.equal(a, b) for a, b in zip(ours, everything(model, photo), strict=True))
    assert set(fetched) == {(64, 64), (64, 32)}  # never all experts at once


def test_layers_that_cast_their_weights_when_used_work_in_16_bit(tiny: Path, photo: Tensor):
    """As a host does that keeps weights in one precision and computes in another."""

    def casting(name: str, base: type) -> type:
        def forward(self: nn.Module, x: Tensor, *rest: object) -> Tensor:
            held = {key: p.data for key, p in self.named_parameters(recurse=False)}
            dtype = torch.bfloat16 if name == "Embedding" else x.dtype
            for key, data in held.items():
                getattr(self, key).data = data.to(dtype)
            try:
                return base.forward(self, x, *rest)
            finally:
                for key, data in held.items():
                    getattr(self, key).data = data

        return type(name, (base,), {"forward": forward})

    loaded = load_model(tiny, operations=namespace(casting))
    loaded.dtype = torch.bfloat16
    plain = load_model(tiny, dtype=torch.bfloat16)
    features = expand(loaded, encode_image(loaded, photo, "edit"))
    assert features.values.dtype == torch.bfloat16
    expected = expand(plain, encode_image(plain, photo, "edit"))
    assert torch.equal(features.values, expected.values)
    drawn = generate(loaded, "a star", seeds=[1], sampling=ImageSampling(steps=1))[0]
    assert drawn.context.segments[0].keys.dtype == torch.bfloat16
    assert torch.isfinite(drawn.features.values.float()).all()


def test_an_expert_projects_the_tokens_given_to_it():
    layer = ExpertLinear(3, 4, 5)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(3, 5, 4))
    x = torch.randn(7, 4)
    assert torch.allclose(layer(x, 2), x @ layer.weight[2].T, atol=1e-6)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
