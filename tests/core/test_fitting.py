"""What a precision needs, and which one a machine gets: by its numbers, said in numbers."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ming_core import CheckpointError, load_model
from ming_core.families import convert, pick_precision
from ming_core.fitting import How, Need, Room, Speeds, Work, choose, duration, needs_of
from ming_core.processor_speed import measured_speeds
from ming_core.univision.checkpoint import open_checkpoint

GB = 10**9
GOLDEN = Path(__file__).parents[1] / "golden" / "a"
# The published model, rounded; docs/performance.md has the sums.
NEEDS = [
    Need("fp32", 75 * GB, 73 * GB, 62 * GB, GB),
    Need("bf16", 38 * GB, 37 * GB, 31 * GB, GB),
    Need("fp16", 38 * GB, 37 * GB, 31 * GB, GB),
    Need("int8", 21 * GB, 20 * GB, 16 * GB, GB),
    Need("int4-experts", 14 * GB, 12 * GB, 8 * GB, GB),
    Need("int4", 13 * GB, 11 * GB, 8 * GB, GB),
]


@pytest.mark.parametrize(
    ("free", "floats", "precision", "runs"),
    [
        (80, "bf16", "bf16", "whole"),
        (80, "fp16", "fp16", "whole"),
        (80, "fp32", "fp32", "whole"),
        (38, "fp16", "fp16", "whole"),
        (37, "bf16", "int8", "whole"),
        (24, "bf16", "int8", "whole"),
        (16, "bf16", "int4-experts", "whole"),
        (12, "bf16", "int4", "whole"),
        (11, "bf16", "int4-experts", "streamed"),
        (5, "bf16", "int4-experts", "streamed"),
        (4, "bf16", "int4", "streamed"),
    ],
)
def test_a_device_gets_the_most_exact_precision_it_has_room_for(free, floats, precision, runs):
    choice = choose(NEEDS, Room(free * GB, 80 * GB, floats=floats))
    assert (choice.need.precision, choice.runs) == (precision, runs)
    assert f"{free}.0 GB free" in choice.reason


# Ming-Lite-Uni, rounded: what waits are the parts of all stages but the largest.
STAGED = [
    Need("bf16", 23 * GB, 23 * GB, 8 * GB, GB, How.STAGED),
    Need("int8", 14 * GB, 14 * GB, 5 * GB, GB, How.STAGED),
    Need("int4", 11 * GB, 11 * GB, 5 * GB, GB, How.STAGED),
]


@pytest.mark.parametrize(
    ("free", "precision", "runs"),
    [
        (24, "bf16", "whole"),
        (23, "int8", "whole"),
        (12, "int4", "whole"),
        (11, "int8", "staged"),
        (9, "int4", "staged"),
    ],
)
def test_what_comes_by_stages_is_as_exact_as_fits(free, precision, runs):
    choice = choose(STAGED, Room(free * GB, 80 * GB, floats="bf16"))
    assert (choice.need.precision, choice.runs) == (precision, runs)
    assert "experts" not in choice.reason


@pytest.mark.parametrize(
    ("ram", "precision"),
    [(None, "fp32"), (80, "fp32"), (40, "bf16"), (22, "int8"), (14, "int4-experts"), (13, "int4")],
)
def test_a_cpu_gets_fp32_while_main_memory_lasts(ram, precision):
    assert choose(NEEDS, Room(None, ram and ram * GB)).need.precision == precision


SPEEDS = Speeds({"fp32": 4e-10, "bf16": 2e-10, "int8": 1e-10, "int4": 5e-11}, call=1e-6)


def working(weights: float, calls: float = 0) -> list[Need]:
    """The same needs, with so many weights to be multiplied in each precision."""
    kept = {"int4-experts": "int4", "fp16": "bf16"}
    return [
        replace(need, work=Work({kept.get(need.precision, need.precision): weights}, calls))
        for need in NEEDS
    ]


@pytest.mark.parametrize(
    ("weights", "ram", "precision"),
    [
        (1e11, 99, "fp32"),  # 40 s, 20, 10 and 5
        (2e11, 99, "bf16"),
        (4e11, 99, "int8"),
        (4e11, 14, "int4-experts"),  # fast enough, but what fits is what counts first
        (1e13, 99, "int4-experts"),  # none is fast enough: the most exact of the fastest
        (1e13, 22, "int4-experts"),
        (1e13, 13, "int4"),
    ],
)
def test_a_cpu_gets_the_most_exact_precision_that_is_not_too_slow(weights, ram, precision):
    room = Room(None, ram * GB, speeds=SPEEDS)
    assert choose(working(weights), room).need.precision == precision


def test_what_a_picture_takes_is_said_where_it_can_be_told():
    room = Room(None, 99 * GB, speeds=SPEEDS)
    assert choose(working(1e11, calls=2e6), room).reason.endswith("; about 42 s a picture")
    assert "picture" not in choose(NEEDS, room).reason
    assert room.seconds(working(1e11)[2]) is None  # fp16, which no CPU is asked for
    assert Room(99 * GB, None, speeds=SPEEDS).seconds(working(1e11)[0]) is None
    assert [duration(s) for s in (0.31, 42.4, 200)] == ["0.3 s", "42 s", "3 min"]


def test_few_bits_are_computed_with_in_what_a_processor_is_faster_at():
    assert SPEEDS.floats == "bf16"
    assert Speeds({"fp32": 1e-10, "bf16": 3e-10}, 0).floats == "fp32"


def test_speeds_are_measured_once_and_for_every_format():
    speeds = measured_speeds()
    assert measured_speeds() is speeds
    assert set(speeds.weight) == {"fp32", "bf16", "int8", "int4"}
    assert all(seconds > 0 for seconds in (*speeds.weight.values(), speeds.call))


def test_too_little_is_refused_with_the_numbers_of_every_precision():
    with pytest.raises(CheckpointError) as refusal:
        choose(NEEDS, Room(3 * GB, 64 * GB, spare=GB // 2, floats="bf16"))
    text = str(refusal.value)
    for line in ("bf16", "int8", "int4-experts", "int4 "):
        assert line in text
    assert "4.5 GB of the device needed, 3.0 GB free" in text
    with pytest.raises(CheckpointError, match=r"13\.0 GB of main memory needed, 9\.0 GB free"):
        choose(NEEDS, Room(80 * GB, 9 * GB, floats="bf16"))


def test_what_the_host_keeps_for_itself_is_left_alone():
    assert choose(NEEDS, Room(38 * GB, None, floats="bf16")).need.precision == "bf16"
    assert choose(NEEDS, Room(38 * GB, None, 1, "bf16")).need.precision == "int8"


@pytest.mark.parametrize("precision", ["bf16", "int8", "int4-experts", "int4"])
def test_needs_are_the_bytes_of_the_loaded_model(precision: str):
    with open_checkpoint(GOLDEN) as checkpoint:
        needs = {need.precision: need for need in needs_of(checkpoint, torch.bfloat16)}
    quantise = None if precision == "bf16" else precision
    model = load_model(GOLDEN, dtype=torch.bfloat16, quantise=quantise)

    def size(*modules: nn.Module) -> int:
        return sum(t.nbytes for m in modules for t in (*m.parameters(), *m.buffers()))

    parts = model.parts
    assert needs[precision].weights == size(*model.components.values())
    assert needs[precision].drawing == size(parts.language_model, parts.semantic_decoder)
    experts = [
        m
        for layer in parts.language_model.transformer.layers
        for m in (layer.mlp.gate_up, layer.mlp.down)
    ]
    assert needs[precision].waiting == size(*experts)


def test_a_converted_folder_has_the_one_precision_it_was_written_in(tmp_path: Path):
    folder = convert(GOLDEN, tmp_path / "small", quantise="int4")
    with open_checkpoint(folder) as checkpoint:
        assert [need.precision for need in needs_of(checkpoint, torch.float32)] == ["int4"]
    for room in (Room(None, None), Room(GB, None, floats="bf16")):
        assert pick_precision(folder, room).need.precision == "int4"
