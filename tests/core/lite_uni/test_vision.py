"""The vision tower: windows and their padding, whole-picture layers, and its config."""

import pytest
import torch

from ming_core import ConfigError, TorchOperations
from ming_core.config_section import Section
from ming_core.lite_uni.preprocessing import Patches
from ming_core.lite_uni.vision import VisionConfig, VisionTower, Windows

VALUES = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 2,
    "intermediate_size": 24,
    "out_hidden_size": 20,
    "window_size": 56,
    "fullatt_block_indexes": [],
}


def config_of(**changes) -> VisionConfig:
    return VisionConfig.read(Section({**VALUES, **changes}, "vit"))


def tower_of(**changes) -> VisionTower:
    torch.manual_seed(5)
    tower = VisionTower(config_of(**changes), TorchOperations).requires_grad_(False)
    for name, parameter in tower.named_parameters():
        parameter.normal_(1.0 if "norm" in name or "ln_q" in name else 0.0, 0.2)
    return tower


def patches_of(rows: int, columns: int) -> Patches:
    values = torch.randn(rows * columns, 1176, generator=torch.Generator().manual_seed(2))
    return Patches(values, rows, columns)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (1, 9), (8, 7)])
def test_what_is_split_into_windows_joins_again(shape):
    windows = Windows(*shape, side=4)
    blocks = torch.arange(shape[0] * shape[1]).float()
    split = windows.split(blocks.reshape(*shape, 1, 1))
    assert torch.equal(windows.join(split)[:, 0], blocks)


def changed_features(tower: VisionTower, rows: int, columns: int) -> list[bool]:
    """Which merged features change with the last patch of the picture."""
    patches = patches_of(rows, columns)
    changed = Patches(patches.values.clone(), rows, columns)
    changed.values[-1] += 1
    return (tower(patches) != tower(changed)).any(dim=-1).tolist()


def test_a_window_does_not_see_another():
    # Blocks 3 x 2, windows of 2 x 2: the second window is cut short.
    assert changed_features(tower_of(), 6, 4) == [False] * 4 + [True] * 2


def test_a_full_layer_sees_the_whole_picture():
    assert all(changed_features(tower_of(fullatt_block_indexes=[1]), 6, 4))


def test_padding_is_not_seen():
    exact = tower_of(fullatt_block_indexes=[0, 1])
    padded = tower_of(fullatt_block_indexes=[0, 1], window_size=168)  # one window of 6 x 6
    patches = patches_of(4, 4)
    torch.testing.assert_close(exact(patches), padded(patches), atol=1e-5, rtol=1e-5)
    inside = tower_of(window_size=168)
    torch.testing.assert_close(exact(patches), inside(patches), atol=1e-5, rtol=1e-5)


def test_a_config_may_lie_in_that_of_a_whole_model():
    nested = VisionConfig.read(Section({"vision_config": VALUES, "hidden_size": 9}, "vit"))
    assert nested == config_of()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"num_heads": 3}, "multiple of 4"),
        ({"window_size": 100}, "window_size"),
        ({"in_chans": 4}, "4 channels"),
        ({"fullatt_block_indexes": 3}, "fullatt_block_indexes"),
        ({"fullatt_block_indexes": ["1"]}, "fullatt_block_indexes"),
        ({"depth": "many"}, "depth"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(changes, words):
    with pytest.raises(ConfigError, match=words):
        config_of(**changes)
