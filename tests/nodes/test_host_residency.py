"""Slots for experts as the host's room changes."""

import importlib

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.runtime
CPU = torch.device("cpu")


@pytest.fixture
def residency(pack):
    return importlib.import_module(f"{pack.module.__name__}.nodes.host.residency")


@pytest.fixture
def patcher(pack, residency):
    """A patcher of two layers, each of 100 experts of 32 bytes."""
    core = importlib.import_module(f"{pack.core.__name__}.operations")
    model = nn.ModuleList([core.ExpertLinear(100, 4, 2) for _ in range(2)])
    return residency.ExpertPatcher(model, CPU, CPU)


def room_for(num_slots: float) -> float:
    """Return the bytes of so many slots in both layers, and of one expert in passing."""
    return 64 * num_slots + 32


def slots_of(patcher) -> list[int]:
    return [layer.slots.nbytes // 32 for layer in patcher.model]


def test_slots_stay_as_long_as_they_fit(patcher):
    patcher._give(room_for(60))
    before, first = slots_of(patcher), patcher.model[0].slots
    assert before == [56, 56], "some room stays free"
    for room in (58, 56, 59, 60, 56.5):
        patcher._give(room_for(room))
        assert patcher.model[0].slots is first
    patcher._give(room_for(55.9))
    assert max(slots_of(patcher)) < 56
    assert patcher._slot_bytes == sum(slots_of(patcher)) * 32 <= room_for(55.9)


def test_slots_that_a_full_device_cut_short_are_all_taken_back(
    patcher, residency, monkeypatch: pytest.MonkeyPatch
):
    give = residency.give_slots

    def run_full(layers, num_slots, device):
        if num_slots:
            give(layers[:1], num_slots, device)
            raise torch.OutOfMemoryError("full")
        return give(layers, 0, device)

    monkeypatch.setattr(residency, "give_slots", run_full)
    with pytest.raises(torch.OutOfMemoryError):
        patcher._give(room_for(60))
    assert [layer.slots for layer in patcher.model] == [None, None]
    assert patcher._slot_bytes == 0
