"""Rules of Ming-Lite-Uni broken one at a time: the recorded numbers must notice each of them.

Every case is one edit of the engine's source, applied to a copy. A case whose text is no longer
in the engine fails: rewrite it for the new code.
"""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden_lite"

SEE, WORDS, CONDITIONS, VELOCITIES = "preprocessing", "words", "conditions", "velocities"
PICTURES, ANSWERS, ROUNDING = "pictures", "answers", "published rounding"

# (recorded set, check, file): its rules, each with a text and the wrong text
BROKEN = {
    # A given picture, section 4.
    ("a", SEE, "preprocessing.py"): {
        "resizing is bicubic": ("Resampling.BICUBIC", "Resampling.BOX"),
        "enlarging rounds up": ("math.ceil(side", "math.floor(side"),
        "shrinking rounds down": ("math.floor(side", "math.ceil(side"),
        "colours are normalised one by one": ("/ torch.tensor(STD)[:, None, None]", "/ STD[0]"),
        "patches of a block follow one another": (
            "blocks.permute(1, 4, 2, 5, 0, 3, 6)",
            "blocks.permute(1, 2, 4, 5, 0, 3, 6)",
        ),
        "a patch holds channels before frames": (
            "blocks.expand(*blocks.shape[:5], times, size, size)",
            "blocks.expand(*blocks.shape[:5], times, size, size).transpose(4, 5)",
        ),
    },
    # The vision tower, section 5.
    ("a", SEE, "vision.py"): {
        "layers look inside windows": ("if index in self.config.full_layers:", "if True:"),
        "some layers look at everything": ("if index in self.config.full_layers:", "if False:"),
        "padding is not seen": (
            "seen = None if present.all() else present[:, None, None].to(x.device)",
            "seen = None",
        ),
        "half a head turns with the row, half with the column": (
            "torch.stack((down, across), dim=-1)",
            "torch.stack((across, down), dim=-1)",
        ),
        "the tower's angles are of base 10000": ("THETA = 10000.0", "THETA = 1000.0"),
        "the merger's GELU is exact": ("nn.GELU(),", 'nn.GELU(approximate="tanh"),'),
        "features are in rows again": (
            "whole = windows.reshape(shape).transpose(1, 2)",
            "whole = windows.reshape(shape).transpose(1, 2).flip(1)",
        ),
    },
    ("a", SEE, "glue.py"): {
        "the projection's GELU is exact": (
            "F.gelu(self.first(features))",
            'F.gelu(self.first(features), approximate="tanh")',
        ),
        "what is seen has length 1": (
            "return unit_length(self.second(F.gelu(self.first(features))))",
            "return self.second(F.gelu(self.first(features)))",
        ),
    },
    # Words, sections 3 and 6.
    ("b", WORDS, "sequence.py"): {
        "additions have their order": (
            "additions = (*MARKUP, *MEDIA)",
            "additions = (*MEDIA, *MARKUP)",
        ),
    },
    ("a", WORDS, "sequence.py"): {
        "the system's words come first": ("writer.text(*SYSTEM)", "pass"),
        "words are cut where pieces meet": (
            "        writer.text(*USER)\n",
            "        writer.text(*USER[:-1])\n        asked = USER[-1] + asked\n",
        ),
        "a newline and a space follow a picture": (
            r'BEFORE_QUESTION = "\n "',
            r'BEFORE_QUESTION = "\n"',
        ),
        "a question behind a picture is stripped": (
            "BEFORE_QUESTION + asked.rstrip()",
            "BEFORE_QUESTION + asked",
        ),
        "an empty question leaves nothing behind a picture": (
            'if asked.strip() else ""',
            "if True else asked",
        ),
        "a question without a picture is not stripped": (
            "        writer.text(asked)\n",
            "        writer.text(asked.strip())\n",
        ),
    },
    ("a", CONDITIONS, "sequence.py"): {
        "a picture's rows and columns count": (
            "for size in (1, rows, columns)",
            "for size in (1, columns, rows)",
        ),
        "positions go on behind the longer side": (
            "self._next += max(rows, columns)",
            "self._next += min(rows, columns)",
        ),
        "queries stand in a row": (
            "writer.picture(1, scale * scale)",
            "writer.picture(scale, scale)",
        ),
        "coarse queries come first": ("for scale in scales}", "for scale in reversed(scales)}"),
    },
    # The language model and what it is connected with, sections 6 and 7.
    ("a", CONDITIONS, "model.py"): {
        "coarse queries are read too": (
            "x[slots_of] = rows.to(x.dtype)",
            "x[slots_of] = rows.to(x.dtype) * (len(rows) == 256)",
        ),
        "a token does not see later ones": ("seen.tril(past)", "seen"),
        "queries are used as they are stored": (
            "x[slots_of] = rows.to(x.dtype)",
            "x[slots_of] = unit_length(rows.to(x.dtype))",
        ),
        "a picture fills its slots": ("x[prompt.image] = seen", "pass"),
        "the connector sees all queries of a scale": (
            "x = connector.decoder(connector.proj_in(answered), rotation, callback=callback)",
            "n = answered.shape[1]; g = config.num_heads // config.num_kv_heads\n"
            "        causal = grouped_mask(torch.ones(1, n, n, dtype=torch.bool).tril(), g)\n"
            "        x = connector.proj_in(answered)\n"
            "        x = connector.decoder(x, rotation, causal, callback=callback)",
        ),
        "what is connected has length 1": (
            "return unit_length(connector.proj_out(x))",
            "return connector.proj_out(x)",
        ),
    },
    ("a", CONDITIONS, "qwen.py"): {
        "time, row and column turn their own frequencies": (
            "AXES = (16, 24, 24)",
            "AXES = (24, 24, 16)",
        ),
        "the gate goes through SiLU": (
            "F.silu(self.gate_proj(x)) * self.up_proj(x)",
            "self.gate_proj(x) * F.silu(self.up_proj(x))",
        ),
        "the connector counts from 0": (
            "torch.arange(tokens)[:, None] * frequencies",
            "torch.zeros(tokens)[:, None] * frequencies",
        ),
    },
    ("b", CONDITIONS, "qwen.py"): {
        "angles are of the base in the config": (
            'rope_theta=section.number("rope_theta", default=10000.0)',
            "rope_theta=1e6",
        ),
        "norms have the epsilon of the config": (
            'rms_norm_eps=section.number("rms_norm_eps", default=1e-6)',
            "rms_norm_eps=1e-3",
        ),
    },
    # The head, section 7.
    ("a", PICTURES, "glue.py"): {
        "the head's first layer ends in a ReLU": (
            "F.relu(self.layer_norm1",
            "F.gelu(self.layer_norm1",
        ),
        "the head ends in a norm": (
            "return self.layer_norm2(self.fc2(hidden))",
            "return self.fc2(hidden)",
        ),
    },
    ("a", PICTURES, "generation.py"): {
        "nothing goes through the head as well": (
            "unconditional = head(torch.zeros_like(hidden[0, :1])).float()",
            "unconditional = torch.zeros_like(next(iter(tokens.values()))[:1])",
        ),
    },
    ("a", PICTURES, "condition.py"): {
        "the finest scale makes the picture": (
            "max(self.tokens) if scale is None",
            "min(self.tokens) if scale is None",
        ),
    },
    # The diffusion transformer, section 8.
    ("a", VELOCITIES, "diffusion_transformer.py"): {
        "time features: cosines first": (
            "(angles.cos(), angles.sin())",
            "(angles.sin(), angles.cos())",
        ),
        "a block's modulations have their order": (
            "shift1, scale1, gate1, shift2, scale2, gate2 = self",
            "scale1, shift1, gate1, shift2, scale2, gate2 = self",
        ),
        "a gate for each branch": (
            "x = torch.addcmul(x, gate1, attended)",
            "x = torch.addcmul(x, gate2, attended)",
        ),
        "the last modulation is shift, then scale": (
            "shift, scale = self.scale_shift_table(embedding)",
            "scale, shift = self.scale_shift_table(embedding)",
        ),
        "the last modulation adds the embedding itself": (
            "return self.linear(F.silu(embedding)).unflatten(-1, (6, -1)), embedding",
            "return self.linear(F.silu(embedding)).unflatten(-1, (6, -1)), F.silu(embedding)",
        ),
        "captions are normalised": (
            "self.caption_norm(self.caption_projection(condition[None]))",
            "self.caption_projection(condition[None])",
        ),
        "the caption's GELU is the approximate one": ('nn.GELU(approximate="tanh")', "nn.GELU()"),
        "cross-attention has no norm": (
            "x = x + self.attn2(x, memories)",
            "x = x + self.attn2(self.norm2(x), memories)",
        ),
    },
    ("a", VELOCITIES, "layers.py"): {
        "linear attention's kernel is a ReLU": (
            "(F.relu(q), F.relu(k), v)",
            "(F.silu(q), F.silu(k), v)",
        ),
        "linear attention is normalised": (
            "return (q @ (k.mT @ v) / denominators)",
            "return (q @ (k.mT @ v))",
        ),
        "a convolution is gated by its second half": (
            "value, gate = convolved",
            "gate, value = convolved",
        ),
    },
    ("b", VELOCITIES, "checkpoint.py"): {
        "tensors in the glue win": (
            'stored[f"{TRANSFORMER}/{name.removeprefix(prefix)}"] = stored.pop(name)',
            "stored.pop(name)",
        ),
    },
    # Schedule and sampling, section 8.
    ("a", VELOCITIES, "schedule.py"): {
        "the shift is that of the file": (
            'shift=section.number("shift", default=1.0)',
            "shift=1.0",
        ),
        "the smallest sigma is shifted twice": ("smallest = self._shift(", "smallest = ("),
        "the last sigma is 0": ("np.append(sigmas, 0.0)", "np.append(sigmas, smallest)"),
    },
    ("b", VELOCITIES, "schedule.py"): {
        "flow_shift has no effect": (
            'shift=section.number("shift", default=1.0)',
            'shift=section.number("flow_shift", default=1.0)',
        ),
    },
    ("a", PICTURES, "schedule.py"): {
        "the model is told a thousandfold": (
            "sigmas[:-1] * self.num_train_timesteps",
            "sigmas[:-1]",
        ),
    },
    ("a", PICTURES, "sampler.py"): {
        "guidance leads away from nothing": (
            "[sampling.guidance, 1 - sampling.guidance]",
            "[1 + sampling.guidance, -sampling.guidance]",
        ),
        "a step leads to the next sigma": ("velocity * (following - sigma)", "velocity * -sigma"),
    },
    ("a", VELOCITIES, "sampler.py"): {
        "a seed counts by its low 32 bits": (
            "manual_seed(seed % 2**64)",
            "manual_seed(min(seed, 2**32 - 1))",
        ),
    },
    ("a", PICTURES, "sizes.py"): {
        "a picture is drawn in the nearest trained shape": (
            "abs(ratio - request[0] / request[1])",
            "abs(ratio - request[1] / request[0])",
        ),
        "resizing is bilinear": (
            'mode="bilinear", align_corners=False',
            'mode="bicubic", align_corners=False',
        ),
        "resizing covers the request": (
            "covering = [max(int(side * scale), wanted)",
            "covering = [wanted",
        ),
        "the crop is centred": ("((side - wanted) // 2 for", "(0 for"),
    },
    ("b", PICTURES, "sizes.py"): {
        "the sample size picks the trained sizes": (
            "unit = SMALLEST_UNIT * sample_size // SAMPLE_SIZES[0]",
            "unit = SMALLEST_UNIT",
        ),
    },
    ("a", PICTURES, "drawing.py"): {
        "resizing comes before clamping": (
            "to_image(fitted(pixels.float(), self._sizes.final))",
            "to_image(fitted(pixels.float().clamp(-1, 1), self._sizes.final))",
        ),
    },
    # The decoder of latents, sections 8 and 19.
    ("a", VELOCITIES, "autoencoder.py"): {
        "latents are divided by the scaling factor": (
            "latents = latents / self.scaling_factor",
            "latents = latents * self.scaling_factor",
        ),
        "the first shortcut repeats each channel in a row": (
            "latents.repeat_interleave(self.repeats, dim=1)",
            "latents.repeat(1, self.repeats, 1, 1)",
        ),
        "upsampling repeats pixels": ("scale_factor=2.0)", 'scale_factor=2.0, mode="bilinear")'),
        "the shortcut of upsampling spreads channels": (
            "permute(0, 1, 4, 2, 5, 3)",
            "permute(0, 1, 5, 2, 4, 3)",
        ),
        "heads are cut as they are published": (
            "out = linear_attention(*heads.chunk(3, dim=-1))",
            "out = linear_attention(*heads.unflatten(-1, (-1, 3)).unbind(-1))",
        ),
        "what is normed is added to the input": (
            "return self.norm(convolved(self.conv2, hidden)).add_(x)",
            "return self.norm(convolved(self.conv2, hidden).add_(x))",
        ),
        "the decoder ends in norm and ReLU": ("F.relu(self.norm_out(x))", "self.norm_out(x)"),
    },
    ("b", VELOCITIES, "autoencoder.py"): {
        "stages have their own depth": (
            "for stage in reversed(self.up_blocks):",
            "for stage in [*reversed(self.up_blocks), self.up_blocks[0][1:]]:",
        ),
    },
    # Answers, section 10.
    ("a", ANSWERS, "sequence.py"): {
        "an answer goes on behind the highest position": (
            "(self.positions.max() + 1 + index)",
            "(len(self.ids) + index + 0 * self.positions.max())",
        ),
    },
    ("a", ANSWERS, "generation.py"): {
        "tokens of an answer advance": (
            "layout.following(len(ids) - 1), cache",
            "layout.following(0), cache",
        ),
        "an answer ends at the end of its turn": (
            "stops = tokenizer.stops | model.config.stops",
            "stops: set[int] = set()",
        ),
        "tokens are decoded together": (
            "return Answer(tokenizer.decode(ids), tuple(ids))",
            'return Answer("".join(tokenizer.decode([i]) + " " for i in ids), tuple(ids))',
        ),
    },
    # The option of section 11.
    ("a", ROUNDING, "qwen.py"): {
        "published rounding: frequencies": (
            'frequencies.bfloat16().float() if precision == "reference"',
            'frequencies if precision == "reference"',
        ),
    },
    ("a", ROUNDING, "vision.py"): {
        "published rounding: the tower's angles": (
            'return _rounded(angles) if precision == "reference"',
            'return angles if precision == "reference"',
        ),
        "published rounding: the tower's cosines": (
            'if precision == "reference":\n            for rotation',
            "if False:\n            for rotation",
        ),
    },
}
RULES = {
    rule: (recorded, check, file, *edit)
    for (recorded, check, file), edits in BROKEN.items()
    for rule, edit in edits.items()
}


def worst_of(verify, recorded: str, check: str) -> float:
    return verify.verify_lite.verify(GOLDEN / recorded, [check]).worst


@pytest.mark.golden
@pytest.mark.parametrize("rule", RULES)
def test_a_broken_rule_is_caught(rule: str, broken_engine):
    recorded, check, file, *edit = RULES[rule]
    verify = broken_engine(f"lite_uni/{file}", *edit)
    assert worst_of(verify, recorded, check) > verify.LIMIT


@pytest.mark.golden
@pytest.mark.parametrize("check", [SEE, WORDS, CONDITIONS, VELOCITIES, PICTURES, ANSWERS, ROUNDING])
def test_an_unbroken_copy_is_not_caught(check: str, broken_engine):
    same = "Resampling.BICUBIC"
    verify = broken_engine("lite_uni/preprocessing.py", same, same)
    assert worst_of(verify, "a", check) <= 2e-5
