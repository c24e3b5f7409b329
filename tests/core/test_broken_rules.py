"""Rules of the model broken one at a time: the recorded numbers must notice each of them.

Every case is one edit of the engine's source, applied to a copy. A case whose text is no longer
in the engine fails: rewrite it for the new code.
"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# rule: (recorded set, file, text, wrong text)
BROKEN = {
    "sequences count positions of their own": (
        "c",
        "univision/drawing.py",
        "self._next = seen.sum(dim=1, keepdim=True)",
        "self._next = torch.full_like(seen.sum(dim=1, keepdim=True), seen.shape[1])",
    ),
    "a sequence's position is what it sees minus one": (
        "c",
        "univision/drawing.py",
        "self._next = seen.sum(dim=1, keepdim=True)",
        "self._next = seen.sum(dim=1, keepdim=True) + 1",
    ),
    "unconditional does not see the reply just before": (
        "c",
        "univision/guidance.py",
        "Branch.UNCONDITIONAL: without_last_reply",
        "Branch.UNCONDITIONAL: everything",
    ),
    "unconditional sees the replies before that": (
        "c",
        "univision/guidance.py",
        "[context.num_tokens - context.turns[-1].num_reply_tokens :] = False",
        "[context.turns[0].num_prompt_tokens :] = False",
    ),
    "image-only sees the image marks": (
        "c",
        "univision/guidance.py",
        "for t in (IMAGE, IMAGE_PATCH, IMAGE_END)",
        "for t in (IMAGE_PATCH,)",
    ),
    "image-only sees all earlier turns": (
        "c",
        "univision/guidance.py",
        "Branch.IMAGE_ONLY: everything",
        "Branch.IMAGE_ONLY: without_last_reply",
    ),
    "given patches go through the image router": (
        "c",
        "univision/language_model/experts.py",
        "torch.where(is_given_image[:, None], self.image_router(tokens), logits)",
        "logits",
    ),
    "drawn tokens go through the text router": (
        "c",
        "univision/drawing.py",
        "DrawnToken(self._next, self.cache.uncover(self._mask))",
        "DrawnToken(self._next, self.cache.uncover(self._mask),"
        " torch.ones_like(self._next, dtype=torch.bool))",
    ),
    "image marks go through the text router": (
        "c",
        "univision/prefill.py",
        "None if is_given is None else is_given[:, part]",
        "None if is_given is None else (is_given | (tokens == model.tokenizer.image))[:, part]",
    ),
    "guidance figures keep their places": (
        "c",
        "univision/guidance.py",
        "text, image = sampling.text_guidance, sampling.image_guidance",
        "image, text = sampling.text_guidance, sampling.image_guidance",
    ),
    "renorm never lengthens": (
        "c",
        "univision/flow/sampler.py",
        "(lengths + 1e-8).clamp(0, 1)",
        "(lengths + 1e-8)",
    ),
    "time shift": (
        "c",
        "univision/flow/schedule.py",
        "grid / (grid + time_shift - time_shift * grid)",
        "grid * time_shift / (1 + (time_shift - 1) * grid)",
    ),
    "time runs from noise to data": (
        "c",
        "univision/flow/sampler.py",
        "network.time_embed((1 - grid[:-1])",
        "network.time_embed((grid[:-1])",
    ),
    "a step is taken at its start": (
        "c",
        "univision/flow/sampler.py",
        "network.time_embed((1 - grid[:-1])",
        "network.time_embed((1 - grid[1:])",
    ),
    "time features: cosines first": (
        "c",
        "univision/flow/head.py",
        "(angles.cos(), angles.sin())",
        "(angles.sin(), angles.cos())",
    ),
    "time is scaled by 1000": (
        "c",
        "univision/flow/head.py",
        "TIME_SCALE = 1000.0",
        "TIME_SCALE = 1.0",
    ),
    "block modulation: shift, scale, gate": (
        "c",
        "univision/flow/head.py",
        "shift, scale, gate = modulation",
        "scale, shift, gate = modulation",
    ),
    "final modulation: shift, scale": (
        "c",
        "univision/flow/head.py",
        "shift, scale = final",
        "scale, shift = final",
    ),
    "SwiGLU gates with its first half": (
        "c",
        "layers.py",
        "gate, value = self.w12(x).chunk",
        "value, gate = self.w12(x).chunk",
    ),
    "GELU is exact in the pixel decoder": (
        "c",
        "layers.py",
        "F.gelu(self.fc1(x))",
        'F.gelu(self.fc1(x), approximate="tanh")',
    ),
    "GELU is exact in the connector": (
        "c",
        "univision/connector.py",
        "F.gelu(x)",
        'F.gelu(x, approximate="tanh")',
    ),
    "the semantic decoder reads raw latents": (
        "c",
        "univision/mingtok/semantic_decoder.py",
        "return latents.float() * self.scale + self.mean",
        "return latents.float()",
    ),
    "decoder shortcut repeats each channel in a row": (
        "c",
        "univision/mingtok/semantic_decoder.py",
        "raw.repeat_interleave(self.repeats, dim=-1)",
        "raw.repeat(1, 1, self.repeats)",
    ),
    "encoder shortcut averages neighbours": (
        "c",
        "univision/mingtok/low_level_encoder.py",
        "x.unflatten(-1, (self.latent_size, -1)).mean(-1)",
        "x.unflatten(-1, (-1, self.latent_size)).mean(-2)",
    ),
    "the class token comes last": (
        "c",
        "univision/mingtok/low_level_encoder.py",
        "torch.cat((patches, cls_token), dim=1)",
        "torch.cat((cls_token, patches), dim=1)",
    ),
    "position resize adds 0.1": (
        "c",
        "univision/mingtok/low_level_encoder.py",
        "((grid[0] + 0.1) / rows, (grid[1] + 0.1) / columns)",
        "(grid[0] / rows, grid[1] / columns)",
    ),
    "the semantic decoder is causal": (
        "c",
        "univision/mingtok/semantic_decoder.py",
        "return mask.tril(diagonal=past).expand(batch, 1, -1, -1)",
        "return mask.expand(batch, 1, -1, -1)",
    ),
    "pixel unfold: rows before columns": (
        "c",
        "univision/mingtok/pixel_decoder.py",
        ".permute(0, 1, 3, 2, 4, 5)",
        ".permute(0, 1, 4, 2, 3, 5)",
    ),
    "painted patches: row, column, channel": (
        "c",
        "univision/mingtok/pixel_decoder.py",
        ".unflatten(-1, (p, p, 3))\n        return patches.permute(0, 5, 1, 3, 2, 4)",
        ".unflatten(-1, (3, p, p))\n        return patches.permute(0, 3, 1, 4, 2, 5)",
    ),
    "rotary: half-split": (
        "c",
        "layers.py",
        "self.sin = torch.cat((-angles.sin(), angles.sin()), dim=-1)",
        "self.sin = torch.cat((angles.sin(), -angles.sin()), dim=-1)",
    ),
    "rotary base from the config": (
        "c",
        "univision/language_model/transformer.py",
        "self.config.rope_theta",
        "10000.0",
    ),
    "query heads are grouped in a row": (
        "a",
        "layers.py",
        "q = q.reshape(batch, k.shape[1], heads // k.shape[1] * queries, width)",
        "q = q.unflatten(1, (-1, k.shape[1])).transpose(1, 2)"
        ".reshape(batch, k.shape[1], heads // k.shape[1] * queries, width)",
    ),
    "scores are scaled by the head width": (
        "c",
        "layers.py",
        "attn_mask=visible)",
        "attn_mask=visible, scale=1.0)",
    ),
    "routing weights normalised only when asked": (
        "c",
        "univision/language_model/experts.py",
        "if self.norm_topk_prob:",
        "if True:",
    ),
    "routing weights normalised when asked": (
        "b",
        "univision/language_model/experts.py",
        "if self.norm_topk_prob:",
        "if False:",
    ),
    "shared experts are added": (
        "c",
        "univision/language_model/experts.py",
        "total = self.shared_experts(tokens).float()",
        "total = torch.zeros_like(tokens)",
    ),
    "norm_head normalises over the vocabulary": (
        "c",
        "univision/checkpoint.py",
        "norm(dim=0, keepdim=True)",
        "norm(dim=1, keepdim=True)",
    ),
    "norm_head is applied": (
        "c",
        "univision/checkpoint.py",
        "if self.config.language.norm_head:",
        "if False:",
    ),
    "the big checkpoint's vision wins": (
        "c",
        "univision/checkpoint.py",
        "if converted is None and not any(name.startswith(VISION) for name in stored):",
        "if True:",
    ),
    "gate projections lie above up projections": (
        "c",
        "univision/key_map.py",
        '{"gate_proj": slice(0, size), "up_proj": slice(size, None)}',
        '{"up_proj": slice(0, size), "gate_proj": slice(size, None)}',
    ),
    "the longer side is truncated": (
        "c",
        "pixels.py",
        "int(size * max(width, height) / min(width, height))",
        "-int(-size * max(width, height) // min(width, height))",
    ),
    "resizing is bicubic": ("c", "pixels.py", "Resampling.BICUBIC", "Resampling.BILINEAR"),
    "the crop is centred": (
        "c",
        "pixels.py",
        "(round((side - size) / 2) for side in resized)",
        "(0 for side in resized)",
    ),
    "a given image ends with a newline": (
        "c",
        "univision/prompt.py",
        'Control(IMAGE_END), "\\n"]',
        "Control(IMAGE_END)]",
    ),
    "history answers end with eos": (
        "c",
        "univision/prompt.py",
        "exchange.answer, Control(EOS)]",
        "exchange.answer]",
    ),
}


@pytest.mark.golden
@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_caught(rule: str, broken_engine):
    recorded, *edit = BROKEN[rule]
    verify = broken_engine(*edit)
    assert Path(verify.load_model.__code__.co_filename).parts[:-2] != ROOT.parts
    report = verify.verify(ROOT / "tests" / "golden" / recorded)
    assert report.worst > verify.LIMIT


@pytest.mark.golden
def test_an_unbroken_copy_is_not_caught(broken_engine):
    verify = broken_engine("pixels.py", "Resampling.BICUBIC", "Resampling.BICUBIC")
    assert verify.verify(ROOT / "tests" / "golden" / "c").worst <= 1e-5
