"""The conversation travels on the links alone, so no cache setting of the host changes it."""

import io

import pytest
from graphs import edit_chain
from PIL import Image

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


# The second asks for so much free memory that the host drops results while a prompt runs.
@pytest.mark.parametrize("options", [("--cache-none",), ("--cache-ram", "9999")], ids=" ".join)
def test_a_chain_gives_the_same_pictures(start, server, options):
    prompt = edit_chain(instruction="at noon").prompt
    other = start(*options)
    assert pictures(other, prompt) == pictures(server, prompt)
    other.stop()


def pictures(host, prompt):
    """Return the pixels of the three steps."""
    run = host.run(prompt)
    assert run.ending == "execution_success"
    files = [run.output(f"step{number}_shown", "images")[0] for number in (1, 2, 3)]
    return [Image.open(io.BytesIO(host.view(file))).convert("RGB").tobytes() for file in files]
