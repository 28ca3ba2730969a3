"""Output scores against whole runs of the transformers model, one feature at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.steering.contrast import contrast_states
from yapo.steering.methods.sas import sas_vector
from yapo.steering.methods.sas_output import Options, output_scores

from .inputs import LAYER, SETS, conf_options, fit, make_inputs


def plain_score(lm: LanguageModel, sae: SAE, feature: int, options: Options) -> float:
    """Raise one feature at the last token by a hook, and run the whole model."""
    ids = torch.tensor([lm.tokenizer.text(options.neutral)])

    def raise_feature(_module: object, _args: object, output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        hidden = (output if isinstance(output, Tensor) else output[0]).clone()
        hidden[0, -1] += options.strength * sae.encode(hidden[0, -1]).max() * sae.W_dec[feature]
        return hidden if isinstance(output, Tensor) else (hidden, *output[1:])

    handle = lm.model.model.layers[LAYER].register_forward_hook(raise_feature)
    with torch.no_grad():
        p = lm.model(ids).logits[0, -1].float().softmax(dim=-1).tolist()
    handle.remove()
    norm = lm.model.model.norm(torch.ones(lm.d_model))
    logits = (lm.model.lm_head.weight @ (sae.W_dec[feature] * norm)).tolist()
    own = sorted(range(len(p)), key=lambda token: -logits[token])[: options.tokens]
    ranks = sorted(range(len(p)), key=lambda token: -p[token])
    return (1 - min(ranks.index(token) for token in own) / len(p)) * max(p[token] for token in own)


def test_scores_of_features(lm: LanguageModel, sae: SAE) -> None:
    options, features = Options(**conf_options("sas_output")), list(range(0, 64, 5))
    expected = [plain_score(lm, sae, feature, options) for feature in features]
    torch.testing.assert_close(output_scores(lm, LAYER, sae, features, options), torch.tensor(expected), rtol=1e-3, atol=1e-6)
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_vector_keeps_what_scores(gemma: LanguageModel, sae: SAE, tmp_path: Path, share: float) -> None:
    """A threshold above the lowest, the middle and every score; the best feature stays."""
    inputs, _ = make_inputs(gemma, sae, tmp_path, "sas_output")
    positive, negative = contrast_states(inputs, SETS[0], "prompt")
    whole = sas_vector(sae.encode(positive), sae.encode(negative), 0.7)
    features = whole.nonzero().flatten().tolist()
    scores = output_scores(gemma, LAYER, sae, features, Options(**conf_options("sas_output")))
    least = 1.0 if share == 1 else float(scores.sort().values[int(share * len(features))])
    kept = [f for f, score in zip(features, scores.tolist(), strict=True) if score >= min(least, float(scores.max()))]
    expected = [value if feature in kept else 0.0 for feature, value in enumerate(whole.tolist())]
    inputs, _ = make_inputs(gemma, sae, tmp_path, "sas_output", options={"min_score": least})
    torch.testing.assert_close(fit(inputs)["localized"], torch.tensor([expected]))
    assert {0.0: len(kept) == len(features), 0.5: 1 < len(kept) < len(features), 1.0: len(kept) == 1}[share]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 2.0}, "tau=2.0: a share"),
        ({"min_score": -0.1}, "min_score=-0.1: a score"),
        ({"tokens": 0}, "tokens=0: at least 1"),
        ({"strength": 0.0}, "strength=0.0: above 0"),
        ({"neutral": " "}, "neutral=' ': give a text"),
    ],
)
def test_bad_options(gemma: LanguageModel, sae: SAE, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    inputs, _ = make_inputs(gemma, sae, tmp_path, "sas_output", options=options)
    with pytest.raises(YapoError, match=rf"^method\.options\.{message}"):
        fit(inputs)
