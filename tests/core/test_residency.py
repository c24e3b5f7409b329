"""Expert slots: the same results, fewer bytes copied, and the most used experts stay."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ming_core import ImageSampling, MingModel, generate, load_model
from ming_core.operations import Experts
from ming_core.residency import ExpertSlots, give_slots, slots_within

CPU = torch.device("cpu")
NUM_EXPERTS, BYTES = 16, 4 * (6 * 8 + 6)


@pytest.fixture
def stacks() -> tuple[Tensor, ...]:
    """Two stacks of 16 experts, each told apart by its figures."""
    return torch.randn(NUM_EXPERTS, 6, 8), torch.randn(NUM_EXPERTS, 6)


def skewed(num: int, order: list[int], seed: int) -> list[int]:
    """Ask for experts as routers do: a few of them most of the time."""
    weights = [1 / (rank + 1) ** 1.5 for rank in range(len(order))]
    return random.Random(seed).choices(order, weights, k=num)


@pytest.mark.parametrize("num_slots", [0, 1, 5, NUM_EXPERTS])
def test_what_is_taken_is_the_expert_asked_for(stacks, num_slots: int):
    slots = ExpertSlots(stacks, num_slots, CPU)
    for expert in skewed(500, list(range(NUM_EXPERTS)), seed=1):
        for part, stack in zip(slots.take(expert, stacks), stacks, strict=True):
            assert torch.equal(part, stack[expert])


def test_without_slots_every_expert_is_copied_each_time(stacks):
    slots = ExpertSlots(stacks, 0, CPU)
    for expert in (3, 3, 4):
        slots.take(expert, stacks)
    assert (slots.traffic.asked, slots.traffic.found) == (3, 0)
    assert slots.traffic.bytes_copied == 3 * BYTES
    assert slots.nbytes == 0


def test_with_room_for_all_each_expert_is_copied_once(stacks):
    slots = ExpertSlots(stacks, NUM_EXPERTS, CPU)
    asked = skewed(400, list(range(NUM_EXPERTS)), seed=2)
    for expert in asked:
        slots.take(expert, stacks)
    assert slots.traffic.bytes_copied == len(set(asked)) * BYTES
    assert slots.nbytes == NUM_EXPERTS * BYTES


def test_the_most_used_experts_come_to_rest_and_copies_fall(stacks):
    order = [9, 2, 14, 5, *(e for e in range(NUM_EXPERTS) if e not in (9, 2, 14, 5))]
    slots = ExpertSlots(stacks, 4, CPU)
    for expert in range(NUM_EXPERTS):  # what came first holds the slots
        slots.take(expert, stacks)
    assert slots.resident == {0, 1, 2, 3}
    for expert in skewed(4000, order, seed=3):
        slots.take(expert, stacks)
    assert {9, 2, 14} < slots.resident
    asked = skewed(1000, order, seed=4)
    before = slots.traffic.bytes_copied
    for expert in asked:
        slots.take(expert, stacks)
    copied = (slots.traffic.bytes_copied - before) / BYTES
    best = sum(1 for expert in asked if expert not in order[:4])
    assert best <= copied < 1.1 * best, "next to none is copied that the best four would spare"


def test_new_habits_are_learnt(stacks):
    slots = ExpertSlots(stacks, 4, CPU)
    for habit in ([0, 1, 2, 3], [8, 9, 10, 11]):
        for expert in habit * 400:
            slots.take(expert, stacks)
        assert slots.resident == set(habit)


def test_experts_used_alike_do_not_push_each_other_out(stacks):
    slots = ExpertSlots(stacks, 2, CPU)
    for expert in (0, 1, 2, 3) * 8:
        slots.take(expert, stacks)
    assert slots.traffic.found >= 8


class FakeLayer:
    """Has stacks and may have slots."""

    slots: ExpertSlots | None = None

    def __init__(self, *stacks: Tensor) -> None:
        self._stacks = stacks

    def stacks(self) -> tuple[Tensor, ...]:
        return self._stacks


def test_room_is_shared_alike_with_one_expert_in_passing(stacks):
    layers = [FakeLayer(*stacks), FakeLayer(*stacks), FakeLayer(*stacks)]
    assert slots_within(layers, 4 * BYTES - 1) == 0
    assert slots_within(layers, 4 * BYTES) == 1
    assert slots_within(layers, 16 * BYTES) == 5
    assert slots_within(layers, 10**9) == NUM_EXPERTS
    assert slots_within(layers, -5) == 0
    assert give_slots(layers, 5, CPU) == 15 * BYTES
    assert give_slots(layers, 0, CPU) == 0
    assert all(layer.slots is None for layer in layers)


def experts_of(model: MingModel) -> list[Experts]:
    return [m for m in model.parts.language_model.modules() if isinstance(m, Experts)]


def drawn(model: MingModel) -> Tensor:
    replies = generate(model, "a red circle", seeds=[7, 8], sampling=ImageSampling(steps=2))
    return torch.cat([reply.latents.values for reply in replies])


@pytest.mark.parametrize("quantise", [None, "int8", "int4"])
def test_a_picture_is_the_same_with_any_number_of_slots_and_copies_fall(
    tiny: Path, quantise: str | None
):
    model = load_model(tiny, quantise=quantise)
    layers, exact = experts_of(model), drawn(model)
    copied = []
    for num_slots in (1, 2, 4):
        give_slots(layers, num_slots, CPU)
        assert torch.equal(drawn(model), exact)
        copied.append(sum(layer.slots.traffic.bytes_copied for layer in layers))
    every = sum(layer.slots.traffic.asked * layer.slots.nbytes // 4 for layer in layers)
    assert every > copied[0] > copied[1] > copied[2] > 0


def test_slots_are_no_part_of_the_model(tiny: Path):
    model = load_model(tiny)
    before = {name: sorted(part.state_dict()) for name, part in model.components.items()}
    give_slots(experts_of(model), 2, CPU)
    assert {name: sorted(part.state_dict()) for name, part in model.components.items()} == before
    assert not any(isinstance(layer.slots, nn.Module) for layer in experts_of(model))
