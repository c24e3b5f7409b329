"""Rules of Ming-Lite-Uni broken one at a time: the recorded numbers must notice each of them.

Every case is one edit of the engine's source, applied to a copy. A case whose text is no longer
in the engine fails: rewrite it for the new code.
"""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden_lite"

SEE, WORDS, CONDITIONS, VELOCITIES = "preprocessing", "words", "conditions", "velocities"
PICTURES, ANSWERS, ROUNDING = "pictures", "answers", "published rounding"

# rule: (recorded set, check, file, text, wrong text)
BROKEN = {
    # A given picture, section 4.
    "resizing is bicubic": ("a", SEE, "preprocessing.py", "Resampling.BICUBIC", "Resampling.BOX"),
    "enlarging rounds up": ("a", SEE, "preprocessing.py", "math.ceil(side", "math.floor(side"),
    "shrinking rounds down": ("a", SEE, "preprocessing.py", "math.floor(side", "math.ceil(side"),
    "colours are normalised one by one": (
        "a",
        SEE,
        "preprocessing.py",
        "/ torch.tensor(STD)[:, None, None]",
        "/ STD[0]",
    ),
    "patches of a block follow one another": (
        "a",
        SEE,
        "preprocessing.py",
        "blocks.permute(1, 4, 2, 5, 0, 3, 6)",
        "blocks.permute(1, 2, 4, 5, 0, 3, 6)",
    ),
    "a patch holds channels before frames": (
        "a",
        SEE,
        "preprocessing.py",
        "blocks.expand(*blocks.shape[:5], times, size, size)",
        "blocks.expand(*blocks.shape[:5], times, size, size).transpose(4, 5)",
    ),
    # The vision tower, section 5.
    "layers look inside windows": (
        "a",
        SEE,
        "vision.py",
        "if index in self.config.full_layers:",
        "if True:",
    ),
    "some layers look at everything": (
        "a",
        SEE,
        "vision.py",
        "if index in self.config.full_layers:",
        "if False:",
    ),
    "padding is not seen": (
        "a",
        SEE,
        "vision.py",
        "seen = None if present.all() else present[:, None, None].to(x.device)",
        "seen = None",
    ),
    "half a head turns with the row, half with the column": (
        "a",
        SEE,
        "vision.py",
        "torch.stack((down, across), dim=-1)",
        "torch.stack((across, down), dim=-1)",
    ),
    "the tower's angles are of base 10000": (
        "a",
        SEE,
        "vision.py",
        "THETA = 10000.0",
        "THETA = 1000.0",
    ),
    "the merger's GELU is exact": (
        "a",
        SEE,
        "vision.py",
        "nn.GELU(),",
        'nn.GELU(approximate="tanh"),',
    ),
    "features are in rows again": (
        "a",
        SEE,
        "vision.py",
        "whole = windows.reshape(shape).transpose(1, 2)",
        "whole = windows.reshape(shape).transpose(1, 2).flip(1)",
    ),
    "the projection's GELU is exact": (
        "a",
        SEE,
        "glue.py",
        "F.gelu(self.first(features))",
        'F.gelu(self.first(features), approximate="tanh")',
    ),
    "what is seen has length 1": (
        "a",
        SEE,
        "glue.py",
        "return unit_length(self.second(F.gelu(self.first(features))))",
        "return self.second(F.gelu(self.first(features)))",
    ),
    # Words, sections 3 and 6.
    "additions have their order": (
        "b",
        WORDS,
        "sequence.py",
        "additions = (*MARKUP, *MEDIA)",
        "additions = (*MEDIA, *MARKUP)",
    ),
    "the system's words come first": (
        "a",
        WORDS,
        "sequence.py",
        "writer.text(*SYSTEM)",
        "pass",
    ),
    "words are cut where pieces meet": (
        "a",
        WORDS,
        "sequence.py",
        "        writer.text(*USER)\n",
        "        writer.text(*USER[:-1])\n        asked = USER[-1] + asked\n",
    ),
    "a newline and a space follow a picture": (
        "a",
        WORDS,
        "sequence.py",
        r'BEFORE_QUESTION = "\n "',
        r'BEFORE_QUESTION = "\n"',
    ),
    "a question behind a picture is stripped": (
        "a",
        WORDS,
        "sequence.py",
        "BEFORE_QUESTION + asked.rstrip()",
        "BEFORE_QUESTION + asked",
    ),
    "an empty question leaves nothing behind a picture": (
        "a",
        WORDS,
        "sequence.py",
        'if asked.strip() else ""',
        "if True else asked",
    ),
    "a question without a picture is not stripped": (
        "a",
        WORDS,
        "sequence.py",
        "        writer.text(asked)\n",
        "        writer.text(asked.strip())\n",
    ),
    "a picture's rows and columns count": (
        "a",
        CONDITIONS,
        "sequence.py",
        "for size in (1, rows, columns)",
        "for size in (1, columns, rows)",
    ),
    "positions go on behind the longer side": (
        "a",
        CONDITIONS,
        "sequence.py",
        "self._next += max(rows, columns)",
        "self._next += min(rows, columns)",
    ),
    "queries stand in a row": (
        "a",
        CONDITIONS,
        "sequence.py",
        "writer.picture(1, scale * scale)",
        "writer.picture(scale, scale)",
    ),
    "coarse queries are read too": (
        "a",
        CONDITIONS,
        "model.py",
        "x[slots_of] = rows.to(x.dtype)",
        "x[slots_of] = rows.to(x.dtype) * (len(rows) == 256)",
    ),
    "coarse queries come first": (
        "a",
        CONDITIONS,
        "sequence.py",
        "for scale in scales}",
        "for scale in reversed(scales)}",
    ),
    # The language model, section 6.
    "time, row and column turn their own frequencies": (
        "a",
        CONDITIONS,
        "qwen.py",
        "AXES = (16, 24, 24)",
        "AXES = (24, 24, 16)",
    ),
    "angles are of the base in the config": (
        "b",
        CONDITIONS,
        "qwen.py",
        'rope_theta=section.number("rope_theta", default=10000.0)',
        "rope_theta=1e6",
    ),
    "norms have the epsilon of the config": (
        "b",
        CONDITIONS,
        "qwen.py",
        'rms_norm_eps=section.number("rms_norm_eps", default=1e-6)',
        "rms_norm_eps=1e-3",
    ),
    "a token does not see later ones": (
        "a",
        CONDITIONS,
        "model.py",
        "seen.tril(past)",
        "seen",
    ),
    "the gate goes through SiLU": (
        "a",
        CONDITIONS,
        "qwen.py",
        "F.silu(self.gate_proj(x)) * self.up_proj(x)",
        "self.gate_proj(x) * F.silu(self.up_proj(x))",
    ),
    "queries are used as they are stored": (
        "a",
        CONDITIONS,
        "model.py",
        "x[slots_of] = rows.to(x.dtype)",
        "x[slots_of] = unit_length(rows.to(x.dtype))",
    ),
    "a picture fills its slots": ("a", CONDITIONS, "model.py", "x[prompt.image] = seen", "pass"),
    # Connector and head, section 7.
    "the connector sees all queries of a scale": (
        "a",
        CONDITIONS,
        "model.py",
        "x = connector.decoder(connector.proj_in(answered), rotation, callback=callback)",
        "n = answered.shape[1]; g = config.num_heads // config.num_kv_heads\n"
        "        causal = grouped_mask(torch.ones(1, n, n, dtype=torch.bool).tril(), g)\n"
        "        x = connector.proj_in(answered)\n"
        "        x = connector.decoder(x, rotation, causal, callback=callback)",
    ),
    "the connector counts from 0": (
        "a",
        CONDITIONS,
        "qwen.py",
        "torch.arange(tokens)[:, None] * frequencies",
        "torch.zeros(tokens)[:, None] * frequencies",
    ),
    "what is connected has length 1": (
        "a",
        CONDITIONS,
        "model.py",
        "return unit_length(connector.proj_out(x))",
        "return connector.proj_out(x)",
    ),
    "the head's first layer ends in a ReLU": (
        "a",
        PICTURES,
        "glue.py",
        "F.relu(self.layer_norm1",
        "F.gelu(self.layer_norm1",
    ),
    "the head ends in a norm": (
        "a",
        PICTURES,
        "glue.py",
        "return self.layer_norm2(self.fc2(hidden))",
        "return self.fc2(hidden)",
    ),
    "nothing goes through the head as well": (
        "a",
        PICTURES,
        "generation.py",
        "unconditional = head(torch.zeros_like(hidden[0, :1])).float()",
        "unconditional = torch.zeros_like(next(iter(tokens.values()))[:1])",
    ),
    "the finest scale makes the picture": (
        "a",
        PICTURES,
        "condition.py",
        "max(self.tokens) if scale is None",
        "min(self.tokens) if scale is None",
    ),
    # The diffusion transformer, section 8.
    "time features: cosines first": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "(angles.cos(), angles.sin())",
        "(angles.sin(), angles.cos())",
    ),
    "a block's modulations have their order": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "shift1, scale1, gate1, shift2, scale2, gate2 = self",
        "scale1, shift1, gate1, shift2, scale2, gate2 = self",
    ),
    "a gate for each branch": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "x = torch.addcmul(x, gate1, attended)",
        "x = torch.addcmul(x, gate2, attended)",
    ),
    "the last modulation is shift, then scale": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "shift, scale = self.scale_shift_table(embedding)",
        "scale, shift = self.scale_shift_table(embedding)",
    ),
    "the last modulation adds the embedding itself": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "return self.linear(F.silu(embedding)).unflatten(-1, (6, -1)), embedding",
        "return self.linear(F.silu(embedding)).unflatten(-1, (6, -1)), F.silu(embedding)",
    ),
    "captions are normalised": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "self.caption_norm(self.caption_projection(condition[None]))",
        "self.caption_projection(condition[None])",
    ),
    "the caption's GELU is the approximate one": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        'nn.GELU(approximate="tanh")',
        "nn.GELU()",
    ),
    "cross-attention has no norm": (
        "a",
        VELOCITIES,
        "diffusion_transformer.py",
        "x = x + self.attn2(x, memories)",
        "x = x + self.attn2(self.norm2(x), memories)",
    ),
    "linear attention's kernel is a ReLU": (
        "a",
        VELOCITIES,
        "layers.py",
        "(F.relu(q), F.relu(k), v)",
        "(F.silu(q), F.silu(k), v)",
    ),
    "linear attention is normalised": (
        "a",
        VELOCITIES,
        "layers.py",
        "return (q @ (k.mT @ v) / denominators)",
        "return (q @ (k.mT @ v))",
    ),
    "a convolution is gated by its second half": (
        "a",
        VELOCITIES,
        "layers.py",
        "value, gate = convolved",
        "gate, value = convolved",
    ),
    "tensors in the glue win": (
        "b",
        VELOCITIES,
        "checkpoint.py",
        'stored[f"{TRANSFORMER}/{name.removeprefix(prefix)}"] = stored.pop(name)',
        "stored.pop(name)",
    ),
    # Schedule and sampling, section 8.
    "the shift is that of the file": (
        "a",
        VELOCITIES,
        "schedule.py",
        'shift=section.number("shift", default=1.0)',
        "shift=1.0",
    ),
    "flow_shift has no effect": (
        "b",
        VELOCITIES,
        "schedule.py",
        'shift=section.number("shift", default=1.0)',
        'shift=section.number("flow_shift", default=1.0)',
    ),
    "the smallest sigma is shifted twice": (
        "a",
        VELOCITIES,
        "schedule.py",
        "smallest = self._shift(",
        "smallest = (",
    ),
    "the last sigma is 0": (
        "a",
        VELOCITIES,
        "schedule.py",
        "np.append(sigmas, 0.0)",
        "np.append(sigmas, smallest)",
    ),
    "the model is told a thousandfold": (
        "a",
        PICTURES,
        "schedule.py",
        "sigmas[:-1] * self.num_train_timesteps",
        "sigmas[:-1]",
    ),
    "guidance leads away from nothing": (
        "a",
        PICTURES,
        "sampler.py",
        "[sampling.guidance, 1 - sampling.guidance]",
        "[1 + sampling.guidance, -sampling.guidance]",
    ),
    "a step leads to the next sigma": (
        "a",
        PICTURES,
        "sampler.py",
        "velocity * (following - sigma)",
        "velocity * -sigma",
    ),
    "a seed counts by its low 32 bits": (
        "a",
        VELOCITIES,
        "sampler.py",
        "manual_seed(seed % 2**64)",
        "manual_seed(min(seed, 2**32 - 1))",
    ),
    "a picture is drawn in the nearest trained shape": (
        "a",
        PICTURES,
        "sizes.py",
        "abs(ratio - request[0] / request[1])",
        "abs(ratio - request[1] / request[0])",
    ),
    "the sample size picks the trained sizes": (
        "b",
        PICTURES,
        "sizes.py",
        "unit = SMALLEST_UNIT * sample_size // SAMPLE_SIZES[0]",
        "unit = SMALLEST_UNIT",
    ),
    "resizing is bilinear": (
        "a",
        PICTURES,
        "sizes.py",
        'mode="bilinear", align_corners=False',
        'mode="bicubic", align_corners=False',
    ),
    "resizing covers the request": (
        "a",
        PICTURES,
        "sizes.py",
        "covering = [max(int(side * scale), wanted)",
        "covering = [wanted",
    ),
    "the crop is centred": ("a", PICTURES, "sizes.py", "((side - wanted) // 2 for", "(0 for"),
    "resizing comes before clamping": (
        "a",
        PICTURES,
        "drawing.py",
        "to_image(fitted(pixels.float(), self._sizes.final))",
        "to_image(fitted(pixels.float().clamp(-1, 1), self._sizes.final))",
    ),
    # The decoder of latents, sections 8 and 19.
    "latents are divided by the scaling factor": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "latents = latents / self.scaling_factor",
        "latents = latents * self.scaling_factor",
    ),
    "the first shortcut repeats each channel in a row": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "latents.repeat_interleave(self.repeats, dim=1)",
        "latents.repeat(1, self.repeats, 1, 1)",
    ),
    "upsampling repeats pixels": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "scale_factor=2.0)",
        'scale_factor=2.0, mode="bilinear")',
    ),
    "the shortcut of upsampling spreads channels": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "permute(0, 1, 4, 2, 5, 3)",
        "permute(0, 1, 5, 2, 4, 3)",
    ),
    "heads are cut as they are published": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "out = linear_attention(*heads.chunk(3, dim=-1))",
        "out = linear_attention(*heads.unflatten(-1, (-1, 3)).unbind(-1))",
    ),
    "what is normed is added to the input": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "return self.norm(convolved(self.conv2, hidden)).add_(x)",
        "return self.norm(convolved(self.conv2, hidden).add_(x))",
    ),
    "the decoder ends in norm and ReLU": (
        "a",
        VELOCITIES,
        "autoencoder.py",
        "F.relu(self.norm_out(x))",
        "self.norm_out(x)",
    ),
    "stages have their own depth": (
        "b",
        VELOCITIES,
        "autoencoder.py",
        "for stage in reversed(self.up_blocks):",
        "for stage in [*reversed(self.up_blocks), self.up_blocks[0][1:]]:",
    ),
    # Answers, section 10.
    "an answer goes on behind the highest position": (
        "a",
        ANSWERS,
        "sequence.py",
        "(self.positions.max() + 1 + index)",
        "(len(self.ids) + index + 0 * self.positions.max())",
    ),
    "tokens of an answer advance": (
        "a",
        ANSWERS,
        "generation.py",
        "layout.following(len(ids) - 1), cache",
        "layout.following(0), cache",
    ),
    "an answer ends at the end of its turn": (
        "a",
        ANSWERS,
        "generation.py",
        "stops = tokenizer.stops | model.config.stops",
        "stops: set[int] = set()",
    ),
    "tokens are decoded together": (
        "a",
        ANSWERS,
        "generation.py",
        "return Answer(tokenizer.decode(ids), tuple(ids))",
        'return Answer("".join(tokenizer.decode([i]) + " " for i in ids), tuple(ids))',
    ),
    # The option of section 11.
    "published rounding: frequencies": (
        "a",
        ROUNDING,
        "qwen.py",
        'frequencies.bfloat16().float() if precision == "reference"',
        'frequencies if precision == "reference"',
    ),
    "published rounding: the tower's angles": (
        "a",
        ROUNDING,
        "vision.py",
        'return _rounded(angles) if precision == "reference"',
        'return angles if precision == "reference"',
    ),
    "published rounding: the tower's cosines": (
        "a",
        ROUNDING,
        "vision.py",
        'if precision == "reference":\n            for rotation',
        "if False:\n            for rotation",
    ),
}


def worst_of(verify, recorded: str, check: str) -> float:
    return verify.verify_lite.verify(GOLDEN / recorded, [check]).worst


@pytest.mark.golden
@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_caught(rule: str, broken_engine):
    recorded, check, file, *edit = BROKEN[rule]
    verify = broken_engine(f"lite_uni/{file}", *edit)
    assert worst_of(verify, recorded, check) > verify.LIMIT


@pytest.mark.golden
@pytest.mark.parametrize("check", [SEE, WORDS, CONDITIONS, VELOCITIES, PICTURES, ANSWERS, ROUNDING])
def test_an_unbroken_copy_is_not_caught(check: str, broken_engine):
    same = "Resampling.BICUBIC"
    verify = broken_engine("lite_uni/preprocessing.py", same, same)
    assert worst_of(verify, "a", check) <= 2e-5
