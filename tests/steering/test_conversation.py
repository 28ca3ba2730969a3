"""DSPA through ``yapo.steer``: against one plain pass a token, whatever the batch, the padding, the cache or the turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

import yapo
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition, Decoder
from yapo.models.language_model import LanguageModel, pad_left
from yapo.models.sae import SAE
from yapo.models.template import Template
from yapo.steering.conversation import Conversation
from yapo.steering.interventions import Dense
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.map import ConditionalMap
from yapo.steering.vector import SteeringVector, VectorInfo

from .methods.test_dspa_map import make_map, plain_edit, plain_sets

NEW = 5
PROMPTS = [[2, 9, 11, 30, 7, 12, 40, 41, 8], [2, 5, 6], [2, 20, 21, 22, 23, 24], [2, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60]]
LAYERS = [(0, 2), (1, 1), (0, 0), (1, 2)]
RAW = Template(special=(0, 1, 2, 3))


def vector(sae: SAE, layers: tuple[int, int] = (0, 2), template: Template = RAW, **changes: Any) -> SteeringVector:
    made = make_map(sae, sae, layer_in=layers[0], layer_out=layers[1], mode="both", template=template, k_diff=16, **changes)
    header = VectorInfo("dspa", "map", layers[1], "tiny", "", sae="out", sae_digest=sae.digest)
    return SteeringVector(torch.tensor([0.5]), header, made)


def saes(sae: SAE) -> dict[int, SAE]:
    return dict.fromkeys(range(3), sae)


@contextmanager
def hooked(lm: LanguageModel, layer: int, edit: Any) -> Iterator[None]:
    handle = lm.model.model.layers[layer].register_forward_hook(edit)
    yield
    handle.remove()


def plain_logits(
    lm: LanguageModel,
    ids: list[int],
    prompt: int,
    sae: SAE,
    steering: SteeringVector,
    strength: float,
    before: tuple[int, int] | None = None,
) -> Tensor:
    """One unpadded row through the whole model: the sets from its first ``prompt`` tokens, the edit from the last of them on.

    Args:
        before: length of the prompt of the turn before, and where its cached passes end: until there its sets hold.
    """
    made, early = steering.payload, []
    assert made is not None
    with hooked(lm, made.info.layer_in, lambda _m, _a, h: early.append(h)):
        lm.model(input_ids=torch.tensor([ids]))
    counts = made.info.template.content(torch.tensor([ids]))[0].tolist()

    def sets_of(length: int) -> tuple[list[int], list[int]]:
        turns = [t + 3 for t in range(length - 2) if tuple(ids[t : t + 3]) == made.info.template.following]
        first = turns[-1] if turns and made.info.turns == "last" else 0
        return plain_sets(made, sae, early[0][0, [t for t in range(first, length) if counts[t]]])

    length, end = before or (prompt, 0)
    once, now, everywhere = sets_of(length), sets_of(prompt), made.info.edits == "all"

    def edit(_module: object, _args: object, hidden: Tensor) -> Tensor:
        out = hidden.clone()
        for t in range(1, len(ids)):
            if everywhere or t >= (length if t < end else prompt) - 1:
                out[0, t] = plain_edit(sae, hidden[0, t], *(once if t < end else now), strength)
        return out

    with hooked(lm, made.info.layer_out, edit):
        logits: Tensor = lm.model(input_ids=torch.tensor([ids])).logits[0]
    return logits


def plain_generation(lm: LanguageModel, prompt: list[int], sae: SAE, steering: SteeringVector, strength: float) -> list[int]:
    ids = list(prompt)
    for _ in range(NEW):
        ids.append(int(plain_logits(lm, ids, len(prompt), sae, steering, strength)[-1].argmax()))
    return ids[len(prompt) :]


def padded(prompts: list[list[int]]) -> dict[str, Tensor]:
    ids, real = pad_left(prompts, 0)
    return {"input_ids": ids, "attention_mask": real.long()}


def generate(lm: LanguageModel, batch: dict[str, Tensor], **settings: Any) -> Any:
    kept = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    return lm.model.generate(**batch, **kept, **settings)


@pytest.mark.parametrize(("layers", "edits"), [*((layers, "answer") for layers in LAYERS), ((0, 2), "all"), ((1, 1), "all")])
def test_generation_equals_plain_passes(lm: LanguageModel, sae: SAE, layers: tuple[int, int], edits: str) -> None:
    """A left-padded batch of raw prompts, one of which has no content, with a cache and without."""
    steering = vector(sae, layers, edits=edits)
    expected = [plain_generation(lm, prompt, sae, steering, 0.8) for prompt in PROMPTS]
    for use_cache in (True, False):
        with yapo.steer(lm.model, steering, 1.6, sae=saes(sae)):
            found = generate(lm, padded(PROMPTS), use_cache=use_cache)
        assert [row[-NEW:] for row in found.tolist()] == expected


@pytest.mark.parametrize("edits", ["answer", "all"])
def test_a_static_cache_generates_as_a_growing_one(lm: LanguageModel, sae: SAE, edits: str) -> None:
    steering = vector(sae, (0, 2), edits=edits)
    with yapo.steer(lm.model, steering, 1.6, sae=saes(sae)):
        found = generate(lm, padded(PROMPTS), cache_implementation="static")
        assert torch.equal(found, generate(lm, padded(PROMPTS)))


@pytest.mark.parametrize(("layers", "edits"), [*((layers, "answer") for layers in LAYERS), ((0, 2), "all")])
def test_our_own_decoding_equals_steering(lm: LanguageModel, sae: SAE, layers: tuple[int, int], edits: str) -> None:
    """Beside unsteered and dense conditions at another layer, whose completions do not change by it."""
    steering = vector(sae, layers, edits=edits)
    assert isinstance(steering.payload, ConditionalMap)
    edit, dense, g = Conditional(steering.payload, sae, sae), Dense(32), torch.Generator().manual_seed(0)
    u = torch.randn(32, generator=g)
    conditions = [Condition(), *[Condition(edit, s * steering.values) for s in (1.6, -2.0, 0.0)], Condition(dense, u)]
    decoder = Decoder(lm, 64)
    together = decoder.complete(1, PROMPTS, conditions, NEW)
    assert together == Decoder(lm, 1).complete(1, PROMPTS, conditions, NEW)
    for multiplier, written in zip((1.6, -2.0), together[1:3], strict=True):
        with yapo.steer(lm.model, steering, multiplier, sae=saes(sae)):
            found = generate(lm, padded(PROMPTS))[:, -NEW:].tolist()
        assert [row[: len(own)] for row, own in zip(found, written, strict=True)] == written
    assert together[3] == together[0]
    assert [together[0], together[4]] == decoder.complete(1, PROMPTS, [conditions[0], conditions[4]], NEW)
    assert together[1] != together[0] != together[2]


def test_a_multiplier_of_zero_is_the_identity(gemma: LanguageModel, sae: SAE) -> None:
    before = gemma.model(**padded(PROMPTS)).logits
    with yapo.steer(gemma.model, vector(sae), 0.0, sae=saes(sae)):
        assert torch.equal(gemma.model(**padded(PROMPTS)).logits, before)


# A chat: what stands between the turns is the template's.

CHAT = Template(special=(0, 1, 2, 5, 4), opening=(2, 4, 6), answering=(5, 4, 8), following=(5, 4, 6), closing=(5, 4, 8))
FIRST = [2, 4, 6, 20, 21, 22, 5, 4, 8]
ANSWER = [30, 31, 32]
SECOND = [*FIRST, *ANSWER, 5, 4, 6, 40, 41, 5, 4, 8]


def test_what_a_template_wrote_does_not_count() -> None:
    content = CHAT.content(torch.tensor([SECOND, [0] * 6 + SECOND[:14]]))
    ids = torch.tensor([SECOND, [0] * 6 + SECOND[:14]])
    assert [ids[row][content[row]].tolist() for row in range(2)] == [[20, 21, 22, 30, 31, 32, 40, 41], [20, 21, 22, 30, 31, 32]]


def test_answers_begin_behind_the_last_opening_of_the_models_turn() -> None:
    rows = [SECOND, [*SECOND[:-3], 7, 7, 7], [7] * 18 + [0, 0]]
    ids = torch.tensor(rows)
    assert CHAT.answer_starts(ids, ids != 0).tolist() == [20, 9, 18]
    assert CHAT.answer_starts(ids[:, :2], ids[:, :2] != 0).tolist() == [2, 2, 2]


def test_answer_tokens_are_edited_and_prompts_are_read_where_both_are_in_a_row(lm: LanguageModel, sae: SAE) -> None:
    """Teacher forcing: the state is the prompt's alone, also under padding on either side."""
    steering, row = vector(sae, template=CHAT), [*FIRST, *ANSWER]
    expected = plain_logits(lm, row, len(FIRST), sae, steering, 0.5)
    ids = torch.tensor([[0, 0, *row, 0]])
    with yapo.steer(lm.model, steering, 1.0, sae=saes(sae)):
        alone = lm.model(input_ids=torch.tensor([row])).logits[0]
        both = lm.model(
            input_ids=ids, attention_mask=(ids != 0).long(), position_ids=(ids != 0).cumsum(1).sub(1).clamp(min=0)
        ).logits
        right = lm.model(input_ids=torch.tensor([[*row, 0, 0]])).logits[0]
    for found in (alone, both[0, 2:-1], right[: len(row)]):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("turns", ["all", "last"])
def test_a_second_turn_reads_the_whole_conversation_or_its_last_turn(lm: LanguageModel, sae: SAE, turns: str) -> None:
    steering = vector(sae, template=CHAT, turns=turns)
    expected = plain_generation(lm, SECOND, sae, steering, 0.9)
    short = plain_generation(lm, FIRST, sae, steering, 0.9)
    with yapo.steer(lm.model, steering, 1.8, sae=saes(sae)):
        found = generate(lm, padded([SECOND, FIRST]))[:, -NEW:].tolist()
        again = generate(lm, padded([FIRST]))[:, -NEW:].tolist()
    assert found == [expected, short]
    assert again == [short]


@pytest.mark.parametrize(("edits", "turns"), [("answer", "all"), ("answer", "last"), ("all", "all")])
def test_two_turns_of_a_padded_batch_with_a_cache(lm: LanguageModel, sae: SAE, edits: str, turns: str) -> None:
    """By the model's own generate, against each conversation alone, without padding or cache."""
    steering = vector(sae, template=CHAT, edits=edits, turns=turns)
    firsts, asked = [FIRST, [2, 4, 6, 50, 5, 4, 8]], [[5, 4, 6, 40, 41, 5, 4, 8], [5, 4, 6, 44, 45, 5, 4, 8]]
    batch, cache = padded(firsts), DynamicCache(config=lm.model.config)
    with yapo.steer(lm.model, steering, 1.6, sae=saes(sae)):
        so_far = generate(lm, batch, past_key_values=cache)
        more = torch.cat([so_far, torch.tensor(asked)], dim=1)
        mask = torch.cat([batch["attention_mask"], torch.ones(2, NEW + 8, dtype=torch.long)], dim=1)
        after = generate(lm, {"input_ids": more, "attention_mask": mask}, past_key_values=cache)
    plain, unsteered = [], generate(lm, {"input_ids": more, "attention_mask": mask})[:, -NEW:].tolist()
    for first, answer, question in zip(firsts, so_far[:, -NEW:].tolist(), asked, strict=True):
        assert answer == plain_generation(lm, first, sae, steering, 0.8)
        ids = [*first, *answer, *question]
        prompt, before = len(ids), (len(first), len(first) + NEW - 1)  # the answer's last token is read in the second turn
        for _ in range(NEW):
            ids.append(int(plain_logits(lm, ids, prompt, sae, steering, 0.8, before)[-1].argmax()))
        plain.append(ids[prompt:])
    assert after[:, -NEW:].tolist() == plain
    assert plain != unsteered


def test_a_later_mask_says_what_was_padding(sae: SAE) -> None:
    """A first pass without a mask, and a second one whose mask covers both."""
    made = vector(sae, template=CHAT).payload
    assert made is not None
    edit, ids = Conditional(made, sae, sae), torch.tensor([[20, 20, *SECOND]])
    mask = (torch.arange(ids.shape[1]) >= 2)[None]
    hidden = torch.randn(1, ids.shape[1], 32, generator=torch.Generator().manual_seed(0))
    contexts = []
    for first, then in ((None, mask), (mask[:, :11], mask), (mask[:, :11], mask[:, 11:])):
        conversation = Conversation(edit)
        for part, known, cached in ((slice(0, 11), first, 0), (slice(11, None), then, 11)):
            conversation.begin(ids[:, part], known, cached)
            conversation.read(hidden[:, part])
        assert conversation.real.tolist() == mask.tolist()
        contexts.append(conversation.context)
    assert all(context is not None and torch.equal(context, contexts[2]) for context in contexts)  # type: ignore[arg-type]


def test_a_cache_that_goes_on_is_a_conversation(gemma: LanguageModel, sae: SAE) -> None:
    """The same sets as the conversation at once has, though its first turn came in another pass and token by token."""
    steering = vector(sae, template=CHAT)
    assert isinstance(steering.payload, ConditionalMap)
    contexts: list[Tensor] = []
    original = Conditional.context

    class Noted(Conditional):
        def context(self, hidden: Tensor, ids: Tensor, prompt: Tensor) -> Tensor:
            contexts.append(original(self, hidden, ids, prompt))
            return contexts[-1]

    edit = Noted(steering.payload, sae, sae)
    cache, conversation = DynamicCache(config=gemma.model.config), Conversation(edit)
    parts = [FIRST, *[[token] for token in ANSWER], SECOND[len(FIRST) + len(ANSWER) :]]
    lives = []
    with hooked(gemma, 0, lambda _m, _a, h: conversation.read(h)):
        for part in parts:
            conversation.begin(torch.tensor([part]), None, int(cache.get_seq_length()))
            gemma.model(input_ids=torch.tensor([part]), past_key_values=cache)
            lives.append(conversation.live()[0].tolist())
    whole = Conversation(edit)
    whole.begin(torch.tensor([SECOND]), None, 0)
    with hooked(gemma, 0, lambda _m, _a, h: whole.read(h)):
        gemma.model(input_ids=torch.tensor([SECOND]))
    assert len(contexts) == 3
    assert torch.equal(contexts[1], contexts[2])
    assert not torch.equal(contexts[0], contexts[1])
    assert lives == [[False] * 8 + [True], [True], [True], [True], [False] * 7 + [True]]


def test_a_cache_from_elsewhere_is_refused(gemma: LanguageModel, sae: SAE) -> None:
    before = gemma.model(input_ids=torch.tensor([FIRST]), use_cache=True)
    with (
        yapo.steer(gemma.model, vector(sae), sae=saes(sae)),
        pytest.raises(YapoError, match="9 tokens are cached, of which 0 were read here"),
    ):
        gemma.model(input_ids=torch.tensor([[7]]), past_key_values=before.past_key_values)
    with yapo.steer(gemma.model, vector(sae), sae=saes(sae)), pytest.raises(YapoError, match="call the model with input_ids"):
        gemma.model(inputs_embeds=torch.zeros(1, 3, 32))


def test_other_vectors_and_autoencoders_are_refused(gemma: LanguageModel, sae: SAE) -> None:
    steering = vector(sae)
    with (
        pytest.raises(YapoError, match="this vector needs 2; give them by layer"),
        yapo.steer(gemma.model, steering, sae=sae),
    ):
        pass
    with pytest.raises(YapoError, match=r"out/cfg.json: no such file"), yapo.steer(gemma.model, steering, sae={0: sae}):
        pass
    with (
        pytest.raises(YapoError, match="made for layer 1, but layer 2 is steered"),
        yapo.steer(gemma.model, steering, sae={0: sae, 2: replace(sae, layer=1)}),
    ):
        pass
    elsewhere = replace(steering, info=replace(steering.info, layer=1))
    with (
        pytest.raises(YapoError, match="its map edits layer 2, but its header says 1"),
        yapo.steer(gemma.model, elsewhere, sae=saes(sae)),
    ):
        pass
    deeper = vector(sae, (0, 7))
    with pytest.raises(YapoError, match="steers layer 7 of tiny, but this model has 4 layers"), yapo.steer(gemma.model, deeper):
        pass
