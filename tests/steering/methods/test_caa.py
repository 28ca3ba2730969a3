"""CAA against the mean difference read off the whole model's hidden states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.contrast import contrast_states, first_difference
from yapo.steering.pair_batch import TokenPair
from yapo.steering.training.train_sets import TrainSet

from .inputs import LAYER, NO_MODELS, PAIRS, SETS, fit, make_inputs

# Pairs 0, 1 and 2 differ before an answer ends; in pair 3 the chosen answer is how the rejected one begins.
DIFFER = {0: 1, 1: 0, 2: 2}


def state(lm: LanguageModel, ids: list[int], position: int) -> Tensor:
    """Residual stream after the layer, from the library's own hidden states."""
    return lm.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states[LAYER + 1][0, position]


def test_where_answers_part() -> None:
    assert [first_difference(pair) for pair in PAIRS[:4]] == [1, 0, 2, None]
    assert first_difference(TokenPair([2], [7, 8, 5], [7, 8, 5])) is None


def test_the_end_of_turn_alone_is_no_difference() -> None:
    """It is predicted and never read, so its residual stream is not in the store."""
    assert first_difference(TokenPair([2], [7, 5], [7, 9, 5])) is None
    assert first_difference(TokenPair([2], [5], [9, 5])) is None


@pytest.mark.parametrize("part", SETS, ids=lambda part: part.name)
def test_answer_contrast(lm: LanguageModel, sae: SAE, tmp_path: Path, part: TrainSet) -> None:
    inputs, log = make_inputs(lm, sae, tmp_path, "caa", options={"contrast": "answer"}, models=NO_MODELS)
    vectors = fit(inputs)
    used = [i for i in part.train if i in DIFFER]
    chosen = [state(lm, PAIRS[i].prompt + PAIRS[i].chosen, len(PAIRS[i].prompt) + DIFFER[i]) for i in used]
    rejected = [state(lm, PAIRS[i].prompt + PAIRS[i].rejected, len(PAIRS[i].prompt) + DIFFER[i]) for i in used]
    expected = torch.stack(chosen).mean(dim=0) - torch.stack(rejected).mean(dim=0)
    torch.testing.assert_close(vectors[part.name], expected[None], rtol=1e-4, atol=1e-5)
    assert not log
    assert not inputs.checkpoint.exists()


@pytest.mark.parametrize("part", SETS, ids=lambda part: part.name)
def test_prompt_contrast(lm: LanguageModel, sae: SAE, tmp_path: Path, part: TrainSet) -> None:
    """Localized minus non-localized at the last prompt token, over the facts that have both, whatever the setting."""
    inputs, _ = make_inputs(lm, sae, tmp_path, "caa", options={"contrast": "prompt"}, models=NO_MODELS)
    differences = [state(lm, PAIRS[i].prompt, -1) - state(lm, PAIRS[i + 1].prompt, -1) for i in (0, 2)]
    vectors = fit(inputs)
    torch.testing.assert_close(vectors[part.name], torch.stack(differences).mean(dim=0)[None], rtol=1e-4, atol=1e-5)


def test_prompt_contrast_pairs_up_the_same_question(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    """Both sides come in one order, and a question with one form is left out."""
    inputs, _ = make_inputs(gemma, sae, tmp_path, "caa", options={"contrast": "prompt"})
    rows = inputs.rows.assign(question_id=["b", "a", "a", "x", "c", "c"])
    inputs, _ = make_inputs(gemma, sae, tmp_path, "caa", options={"contrast": "prompt"}, rows=rows)
    positive, negative = contrast_states(inputs, SETS[2], "prompt")
    assert torch.equal(positive, inputs.store.hidden[2][len(PAIRS[2].prompt) - 1][None])
    assert torch.equal(negative, inputs.store.hidden[1][len(PAIRS[1].prompt) - 1][None])


def test_no_difference_before_the_end_is_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    part = TrainSet("nonlocalized", [3], [5])
    inputs, _ = make_inputs(gemma, sae, tmp_path, "caa", options={"contrast": "answer"}, sets=[part])
    with pytest.raises(YapoError, match=r"nonlocalized: in no training pair .* use contrast=prompt"):
        fit(inputs)


def test_no_question_with_both_forms_is_refused(gemma: LanguageModel, sae: SAE, tmp_path: Path) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "caa", options={"contrast": "prompt"})
    rows = inputs.rows.assign(variant="localized", phrasing=range(6))
    inputs, _ = make_inputs(gemma, sae, tmp_path, "caa", options={"contrast": "prompt"}, rows=rows)
    with pytest.raises(YapoError, match=r"no training question has both .* use contrast=answer"):
        fit(inputs)


OPTIONS = [
    ({"contrast": "answers"}, r"method.options.contrast=answers: choose one of answer, prompt"),
    ({"contrast": 3}, r"method.options.contrast=3: must be a text"),
    ({}, r"method.options.contrast: missing; give it"),
    (
        {"contrast": "answer", "contrasts": "answer"},
        r"method.options.contrasts=answer: unknown option; did you mean contrast\? the method's are contrast",
    ),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=lambda part: str(part)[:40])
def test_options_are_checked(gemma: LanguageModel, sae: SAE, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "caa")
    with pytest.raises(YapoError, match=message):
        fit(replace(inputs, options=options))
