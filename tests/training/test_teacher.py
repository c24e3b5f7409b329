"""The batched, teacher-forced forward of the training equals the engine's cached generation."""

import copy
import random
from dataclasses import replace

import pytest
import torch

from ming_core import ImageSampling, LatentContext, Latents, encode_image, expand
from ming_core.progress import ProgressBar
from ming_core.univision.drawing import Replay
from ming_core.univision.flow.sampler import LatentSampler
from ming_core.univision.generation import parts_of
from ming_core.univision.guidance import Branch
from ming_core.univision.prompt import build_prompt
from ming_core.univision.turn import OpenTurn, Settings, draw_from
from ming_shapes.questions import KINDS, conclusion
from ming_shapes.render import Effect, pack, render, to_bytes
from ming_shapes.scene import SHAPES, SIZES, Scene, Thing, placed
from ming_shapes.tasks import (
    Conversation,
    Say,
    Shown,
    TaskSampler,
    ask,
    draw_then_edit,
    edit,
    region_then_edit,
    sharpen,
)
from ming_shapes.words import PLACE_WORDS
from training.lessons import QUIZ, quiz

N = 36
SCALES = {
    Branch.FULL: ImageSampling(4, text_guidance=1.0, image_guidance=1.0),
    Branch.IMAGE_ONLY: ImageSampling(4, text_guidance=0.0, image_guidance=1.0),
    Branch.UNCONDITIONAL: ImageSampling(4, text_guidance=0.0, image_guidance=0.0),
}


def latents_of(model, shown: Shown) -> torch.Tensor:
    encoder = model.parts.low_level_encoder
    with torch.inference_mode():
        pixels = render(pack([shown.scene], [shown.effect], shown.marked)).pixels
        return encoder.normalised(encoder(pixels))[:, :-1]


def drawn_latents(model, *shown: Shown) -> torch.Tensor:
    from training.teacher import encode

    return encode(model.parts, list(shown), 96, is_drawn=True).latents


@pytest.mark.parametrize(("use", "side"), [("edit", 96), ("understand", 192)])
@pytest.mark.parametrize("rendered", [96, 288])
def test_given_pictures_are_resized_as_the_engine_resizes_them(model, use, side, rendered):
    from training.teacher import encode

    scene = Scene("blue", (placed(Thing("star", "red", "large", 0, 0, SIZES["large"]), (0, 1)),))
    image = to_bytes(render(pack([scene]), rendered).pixels).float() / 255
    engines = encode_image(model, image, use).values
    ours = encode(model.parts, [Shown(scene)], side, rendered_size=rendered).latents
    exact = encode(model.parts, [Shown(scene)], side).latents
    apart, unresized = ((some - engines).abs().mean() for some in (ours, exact))
    if rendered == side:
        assert torch.equal(ours, exact)
    else:  # the engine rounds to bytes, and no more than that
        assert apart < 0.3 * unresized


def test_what_is_read_are_the_resized_pictures(model):
    from training.sequences import SequenceMaker, collate
    from training.teacher import read

    scene = Scene("blue", (placed(Thing("star", "red", "large", 0, 0, SIZES["large"]), (0, 1)),))
    asked = Conversation("ask", (Say("What is it?", "a star", Shown(scene)),))
    maker = SequenceMaker(model.tokenizer, N)
    batch = collate([maker.plain(asked)], model.tokenizer.eos, maker.given_tokens)
    exact, same, resized = (
        read(model.parts, replace(batch, rendered_size=size)).hidden for size in (0, 96, 288)
    )
    assert torch.equal(exact, same)
    assert not torch.equal(exact, resized)


def by_the_engine(model, conversation: Conversation, sampling: ImageSampling, noise):
    """Draw the last picture after replaying all turns before it, feeding back true latents."""
    context = LatentContext(model.identity)
    with torch.inference_mode():
        for turn in conversation.turns:
            features = None
            if turn.given is not None:
                features = expand(model, Latents(latents_of(model, turn.given), (6, 6)))
            prompt = build_prompt(model.tokenizer, parts_of(model, features, turn.words))
            is_last = turn is conversation.turns[-1]
            opened = OpenTurn(model, context, prompt, ProgressBar())
            if isinstance(turn.answer, str):
                for token in model.tokenizer.encode([turn.answer]):
                    opened.decode_step(token)
            else:
                use = sampling if is_last else SCALES[Branch.FULL]
                replay = Replay.whole(drawn_latents(model, turn.answer)[0])
                (drawing,) = draw_from([opened], noise, use, replay)
                opened = opened.after(drawing)
                if is_last:
                    return drawing.latents[0]
                opened.decode_step(model.tokenizer.image_end)
            context = opened.close((), Settings(0))
    raise AssertionError("the last turn draws")


def by_the_teacher(model, sequence, noise):
    from training.sequences import collate
    from training.teacher import conditions, read

    longer = [sequence]
    batch = collate(longer, model.tokenizer.eos, N)
    with torch.no_grad():
        result = read(model.parts, batch)
        z = conditions(model.parts, result.hidden, batch, N)[-1]
        network = model.parts.language_model.velocity
        sample = LatentSampler(network, ImageSampling(4), [1.0], like=z)
        return torch.cat([sample(z[None, i : i + 1], noise[i]) for i in range(N)])


@pytest.mark.parametrize("branch", list(Branch))
@pytest.mark.parametrize("task", [edit, region_then_edit, draw_then_edit])
def test_training_sees_what_generation_sees(model, task, branch: Branch):
    from training.sequences import SequenceMaker

    conversation = task(TaskSampler(random.Random(5), chinese=0.0))
    noise = torch.randn(N, 1, 32, generator=torch.Generator().manual_seed(0))
    maker = SequenceMaker(model.tokenizer, N)
    if branch is Branch.FULL:
        sequence = maker.plain(conversation)
    else:
        sequence = maker.guided(conversation, conversation.turns[-1], branch)
    ours = by_the_teacher(model, sequence, noise)
    theirs = by_the_engine(model, conversation, SCALES[branch], noise)
    assert (ours - theirs).abs().max() < 2e-4 * theirs.abs().max()


def test_branches_differ(model):
    conversation = edit(TaskSampler(random.Random(5), chinese=0.0))
    noise = torch.randn(N, 1, 32, generator=torch.Generator().manual_seed(0))
    full, image, nothing = (by_the_engine(model, conversation, s, noise) for s in SCALES.values())
    assert (full - image).abs().max() > 1e-3
    assert (image - nothing).abs().max() > 1e-3


@pytest.mark.parametrize("branch", [Branch.IMAGE_ONLY, Branch.UNCONDITIONAL])
def test_a_branch_hides_foreign_words_and_learns_the_last_picture_alone(model, branch: Branch):
    from training.sequences import IGNORED, SequenceMaker, collate

    conversation = region_then_edit(TaskSampler(random.Random(5), chinese=0.0))
    shown = conversation.turns[0].given
    other = Say("Words of another conversation.", "", shown)
    sequence = SequenceMaker(model.tokenizer, N).guided(conversation, other, branch)
    tokenizer = model.tokenizer
    hidden = tokenizer.decode([sequence.ids[i] for i in sequence.hidden])
    assert other.words in hidden
    assert "HUMAN" not in hidden.split(other.words)[0][-5:]
    first_reply = sequence.drawn_at[0]
    # Only the branch without pictures loses what was drawn in the turn before.
    assert (first_reply in sequence.hidden) == (branch is Branch.UNCONDITIONAL)
    assert sequence.is_learnt == [False, True]
    assert set(sequence.labels) == {IGNORED}
    batch = collate([sequence], tokenizer.eos, N)
    seen = batch.visible()[0]
    last, before = sequence.drawn_at[1], sequence.hidden_from - 1
    assert not seen[last, sequence.hidden].any()
    assert seen[before, : before + 1].all(), "earlier tokens still see everything"
    assert int(batch.positions[0, last]) == int(seen[last].sum()) - 1


def test_empty_patches_of_drawn_pictures_tell_nothing_of_what_comes_later(model):
    def shown(shape: str, cell: tuple[int, int]) -> Shown:
        thing = placed(Thing(shape, "red", "small", 0, 0, SIZES["small"]), cell)
        return Shown(Scene("blue", (thing,), gradient=1))

    pictures = shown("star", (2, 0)), shown("circle", (1, 2))
    first_row = drawn_latents(model, *pictures)[:, :6]
    assert torch.equal(first_row[0], first_row[1])
    as_given = torch.cat([latents_of(model, each) for each in pictures])[:, :6]
    assert not torch.allclose(as_given[0], as_given[1], atol=1e-4)


def test_patches_with_something_in_them_keep_their_latents(model):
    thing = placed(Thing("square", "red", "large", 0, 0, SIZES["large"]), (1, 1))
    marked = Shown(Scene("blue", (thing,)), Effect.MARK)
    change = (drawn_latents(model, marked) - latents_of(model, marked)).abs().amax(-1)[0]
    is_kept = (change == 0).view(6, 6)
    assert is_kept[2:4, 2:4].all()
    assert not is_kept[0].any()


def test_what_is_asked_which_thing_was_meant_is_what_the_cache_holds(model):
    """The values that tokens after it see, in the second half of the layers."""
    from training.sequences import SequenceMaker, collate
    from training.teacher import read

    conversation = edit(TaskSampler(random.Random(5), chinese=0.0))
    turn = conversation.turns[0]
    maker = SequenceMaker(model.tokenizer, N)
    sequence = maker.plain(conversation)
    batch = collate([sequence], model.tokenizer.eos, N)
    with torch.inference_mode():
        told = read(model.parts, batch).told[:, 0, sequence.drawn_at[0] - 1]
        features = expand(model, Latents(latents_of(model, turn.given), (6, 6)))
        prompt = build_prompt(model.tokenizer, parts_of(model, features, turn.words))
        opened = OpenTurn(model, LatentContext(model.identity), prompt, ProgressBar())
        opened.decode_step(model.tokenizer.image)
        context = opened.close((), Settings(0))
    half = len(model.parts.language_model.transformer.layers) // 2
    held = torch.cat([segment.values[half:] for segment in context.segments], dim=2)
    assert torch.allclose(told, held[:, :, len(prompt.ids)].flatten(1), atol=1e-5)


def test_the_tokens_before_answers_are_asked_what_they_are_about_and_no_others(model, tmp_path):
    from training.curriculum import LAST_PHASE
    from training.joint_stage import JointStage
    from training.sequences import SequenceMaker, collate
    from training.stage import Settings
    from training.teacher import read

    parts = copy.deepcopy(model.parts)
    stage = JointStage(
        parts, model.config, model.tokenizer, Settings(tmp_path), (LAST_PHASE,), (1, 1)
    )
    for weight in stage.about.parameters():
        torch.nn.init.normal_(weight)
    sampler = [TaskSampler(random.Random(5), chinese=0.0) for _ in range(4)]
    tasks = (region_then_edit, draw_then_edit, quiz, sharpen)
    conversations = [task(each) for task, each in zip(tasks, sampler, strict=True)]
    maker = SequenceMaker(model.tokenizer, N)
    sequences = [maker.plain(conversation) for conversation in conversations]
    batch = collate(sequences, model.tokenizer.eos, N)
    result = read(parts, batch)
    told = result.told.detach().requires_grad_()
    stage._about_loss(replace(result, told=told), batch).backward()
    is_asked = torch.zeros_like(batch.ids, dtype=torch.bool)
    for row, (sequence, conversation) in enumerate(zip(sequences, conversations, strict=True)):
        drawn_at = iter(sequence.drawn_at)
        words_at = iter([at for at, is_word in starts_of(sequence.is_answer) if is_word])
        for turn in conversation.turns:
            at = next(words_at) if isinstance(turn.answer, str) else next(drawn_at) - 1
            is_asked[row, at] = turn.about is not None
    assert is_asked.sum(1).tolist()[2:] == [QUIZ, 0], "what is sharpened is no thing in particular"
    assert is_asked[:2].any(1).all()
    for layer in told.grad:
        assert torch.equal(layer.abs().sum(-1) > 0, is_asked)


def starts_of(is_answer):
    """Where runs of answers begin, and where they end."""
    changes = zip([False, *is_answer], [*is_answer, False], strict=True)
    return [(at, now) for at, (before, now) in enumerate(changes) if before != now]


def test_questions_say_which_things_they_are_about():
    """As many as the answer says, and those that the question points at."""
    asked = [
        turn
        for seed in range(200)
        for turn in ask(TaskSampler(random.Random(seed), chinese=0.0, is_plain=True)).turns
    ]
    for turn in asked:
        answer = conclusion(turn.answer)
        if turn.kind == "background":
            assert turn.about is None
        elif turn.kind == "how_many":
            assert answer == ("zero", "one", "two", "three", "four")[len(turn.about)]
            named = [shape for shape in SHAPES if shape in turn.words]
            assert all(thing.shape in (named or SHAPES) for thing in turn.about)
        elif turn.kind == "is_there":
            assert answer == ("yes" if turn.about else "no")
            assert all(thing.shape in turn.words for thing in turn.about)
        else:
            (thing,) = turn.about
            place = PLACE_WORDS["en"][thing.cell][0]
            says = {"what": thing.shape, "colour": thing.colour, "size": thing.size, "where": place}
            assert answer == says[turn.kind]
    assert {turn.kind for turn in asked} == set(KINDS)


def test_a_branch_without_words_is_not_asked_what_they_are_about(model):
    from training.sequences import SequenceMaker

    conversation = region_then_edit(TaskSampler(random.Random(5), chinese=0.0))
    turns = conversation.turns
    meant = turns[0].given.scene.things[turns[0].edit.index]
    assert [turn.about for turn in turns] == [(meant,)] * 2
    maker = SequenceMaker(model.tokenizer, N)
    plain, branch = (
        maker.plain(conversation),
        maker.guided(conversation, turns[-1], Branch.IMAGE_ONLY),
    )
    assert plain.about == [(at - 1, (meant,)) for at in plain.drawn_at]
    assert [shown.meant for shown in plain.drawn] == [meant] * 2
    assert branch.about == plain.about[:1]
    assert [shown.meant for shown in branch.drawn] == [meant, None]


class Silent:
    """A velocity network that always says zero."""

    def time_embed(self, t: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(len(t), 4, dtype=dtype)

    def cond_embed(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def modulate(self, embedding: torch.Tensor) -> torch.Tensor:
        return embedding

    def __call__(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        self.rows = len(x)
        return torch.zeros_like(x)


@pytest.mark.parametrize("busy", [1, 6])
def test_a_patch_counts_once_however_often_it_is_tried(busy: int):
    """A quarter of the patches is busy and far from zero: they are a quarter of the loss."""
    from training.teacher import FlowDraws, Pictures, flow_loss

    is_busy = torch.arange(40).reshape(2, 20) % 4 == 0
    latents = torch.where(is_busy, 100.0, 0.0)[..., None].expand(2, 20, 3)
    nested = (torch.arange(40).reshape(2, 20) % 8 == 0).float()
    pictures = Pictures(latents, torch.zeros(2, 20, 4), is_busy, {"has_inner": nested})
    learnt, generator = torch.tensor([True, False]), torch.Generator().manual_seed(0)
    network, draws = Silent(), FlowDraws(1, busy, nested=24)
    loss = flow_loss(network, torch.zeros(2, 20, 4), pictures, learnt, draws, generator)
    assert network.rows == 15 + 2 * busy + 3 * 24
    assert loss.item() == pytest.approx(100.0**2 / 4, rel=0.05)
