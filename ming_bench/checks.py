"""The checks that a CPU can make: ratios of times taken in turn, and counts; no absolute time."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from ming_core import TorchOperations
from ming_core.quantisation import operations_for

from . import ggml_peer
from .case import Case
from .clock import HEAD, HostClock, Mark, drawn, milliseconds, timed, unmarked
from .counters import count_token
from .ggml_peer import SHAPES, GgmlProducts, OurProducts
from .measure import relative_error
from .random_model import SIZES, random_model
from .sources import PRECISIONS

CPU = torch.device("cpu")
CONTEXT = 64
CALIBRATED_STEPS = 6  # as a calibrated schedule has them; where they lie takes no time
Draw = Callable[[int, Mark], object]
TARGETS = {
    "ratio_3_rows": ">= 1.7",
    "ratio_2_rows": ">= 1.35",
    "batch4_over_4x1": "<= 0.5",
    "latent_error": "<= 1e-5",
    "bf16_3_rows": ">= 1.4",
    "int8_3_rows": ">= 2.2",
    "int4_3_rows": ">= 3.5",
    "int4_calibrated_3_rows": ">= 7.0",
    "int4_over_ggml_q4": ">= 2.0",
    "ops_per_token": "<= 4000",
    "head_ops_per_token": "<= 1800",
    "host_time_ratio": ">= 1.8",
}


@dataclass(frozen=True)
class Check:
    """A figure: the median of some values; where there are none, why."""

    name: str
    values: list[float]
    why_not: str = ""

    @property
    def value(self) -> float | None:
        """The figure itself."""
        return statistics.median(self.values) if self.values else None

    def line(self) -> str:
        """Write it for people, with what it should be and every value it is the median of."""
        if self.value is None:
            return f"{self.name:<28}    skipped   {TARGETS.get(self.name, ''):<10}   {self.why_not}"
        each = ", ".join(f"{value:.3f}" for value in self.values)
        text = f"{self.name:<28} {self.value:10.3g}   {TARGETS.get(self.name, ''):<10}"
        return text + (f"   of {each}" if len(self.values) > 1 else "")


@torch.inference_mode()
def cpu_checks(repeats: int) -> Iterator[Check]:
    """Yield all figures as they become known; on one thread."""
    model = random_model(SIZES["mid"], torch.float32, CPU)
    three, two = (Case.read(model, rows, CONTEXT) for rows in (3, 2))
    four = three.side_by_side(4)
    ours, theirs = three.draw(1, unmarked)[0], three.draw_baseline(1, unmarked)
    for name, case in (("ratio_3_rows", three), ("ratio_2_rows", two)):
        yield Check(name, in_turn(case.draw_baseline, case.draw, repeats))
    yield Check("batch4_over_4x1", [x / 4 for x in in_turn(four.draw, three.draw, repeats)])
    yield Check("latent_error", [relative_error(ours, theirs)])
    yield from few_bits_checks(repeats)
    yield peer_check(repeats)
    # What a token asks at the published depths, where tiny widths leave the rest to do.
    case = Case.read(random_model(SIZES["deep"], torch.float32, CPU), 3, CONTEXT)
    for suffix, draw in (("", case.draw), ("_baseline", case.draw_baseline)):
        ops = count_token(partial(draw, 2), CPU)["ops_per_token"]
        yield Check(f"ops_per_token{suffix}", [ops["total"]])
        yield Check(f"head_ops_per_token{suffix}", [ops[HEAD]])
    yield Check("host_time_ratio", in_turn(case.draw_baseline, case.draw, repeats))


def few_bits_checks(repeats: int) -> Iterator[Check]:
    """Time precisions against the published algorithm in fp32, where no cache holds the head."""

    def case_of(precision: str) -> Case:
        dtype, quantise = PRECISIONS[precision]
        operations = operations_for(TorchOperations, quantise)
        return Case.read(random_model(SIZES["head"], dtype, CPU, operations), 3, CONTEXT)

    exact, case = case_of("fp32"), case_of("bf16")
    yield Check("bf16_3_rows", in_turn(exact.draw_baseline, case.draw, repeats))
    for precision in ("int8", "int4"):
        case = case_of(precision)
        yield Check(f"{precision}_3_rows", in_turn(exact.draw_baseline, case.draw, repeats))
    few = replace(case, sampling=replace(case.sampling, steps=CALIBRATED_STEPS))
    yield Check("int4_calibrated_3_rows", in_turn(exact.draw_baseline, few.draw, repeats))
    together = in_turn(case.side_by_side(4).draw, case.draw, repeats)
    yield Check("int4_batch4_over_4x1", [ratio / 4 for ratio in together])


def peer_check(repeats: int) -> Check:
    """Time the published head's matrices in ggml's 4 bits against ours."""
    name, peer = "int4_over_ggml_q4", ggml_peer.ggml()
    if peer is None:
        return Check(name, [], "ggml-python is not installed: the extra `peer`")
    ours, theirs = OurProducts(SHAPES), GgmlProducts(peer, SHAPES)
    clock = HostClock(CPU)
    pairs = [(timed(clock, theirs, 1)[0], timed(clock, ours, 1)[0]) for _ in range(repeats)]
    theirs.close()
    return Check(name, [slow / fast for slow, fast in pairs])


def in_turn(first: Draw, second: Draw, repeats: int) -> list[float]:
    """Draw a token of two things in turn; return the ratios of their times, first / second."""

    def taken(draw: Draw) -> float:
        return milliseconds(drawn(HostClock(CPU), lambda mark: draw(1, mark)))["median"]

    return [taken(first) / taken(second) for _ in range(repeats)]
