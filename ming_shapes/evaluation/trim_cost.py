"""How long a trim of a context takes against an edit that follows it.

    python -m ming_shapes.evaluation.trim_cost FOLDER

Prints medians; both are of the same kind of work, so their ratio says more than the seconds.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ming_core import LatentContext, MingModel, Window, edit, generate, load_model, trim

PROMPT = "A large red circle in the centre on a blue background."
INSTRUCTION = "Change the colour of the circle to green."
WINDOWS = {"picture only": Window(0), "last turn": Window(1), "last 3 turns": Window(3)}
REPEATS = 5


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of a piece of work, once warmed up."""
    work()
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return median(times)


def long_context(model: MingModel, num_edits: int = 4) -> LatentContext:
    """Return a conversation of a drawing and some edits."""
    context = generate(model, PROMPT, seeds=[1])[0].context
    for seed in range(num_edits):
        context = edit(model, INSTRUCTION, seed=seed, context=context).context
    return context


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    model = load_model(parser.parse_args().folder)
    context = long_context(model)
    drawing = seconds(lambda: edit(model, INSTRUCTION, seed=9, context=context))
    print(f"an edit in a context of {context.num_tokens} tokens: {drawing:.3f} s")
    for name, window in WINDOWS.items():
        cost = seconds(lambda window=window: trim(model, context, window))
        print(f"a trim to {name}: {cost:.4f} s, {cost / drawing:.3f} of the edit")


if __name__ == "__main__":
    main()
