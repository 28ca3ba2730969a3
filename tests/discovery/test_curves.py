"""Curves over layers: none is drawn, and no layer chosen, from numbers that are not finite."""

from __future__ import annotations

import pandas as pd
import torch

from yapo.config import GenerationConfig
from yapo.data.prompts import PromptFormat
from yapo.discovery.curves import CountryCurves
from yapo.models.language_model import LanguageModel

from ..conftest import tiny_model
from ..refusals import refused


def test_a_model_that_computes_nothing(gemma: LanguageModel) -> None:
    model = tiny_model("gemma2", len(gemma.tokenizer.tokenizer))
    lm = LanguageModel(model, gemma.tokenizer, "owner/tiny")
    with torch.no_grad():
        model.model.norm.weight.fill_(torch.nan)
    item = {"question_id": "q", "phrasing": 0, "split": "validation", "options": ["foul", "bread"], "answer_index": 0}
    sides = [{**item, "control_index": 1, "variant": v, "question": f"What? {v}"} for v in ("localized", "nonlocalized")]
    curves = CountryCurves(lm, pd.DataFrame(sides), "egypt", PromptFormat(), GenerationConfig(), [1.0], 2, 0)
    refused(lambda: curves.patching("mcq"), "owner/tiny: patching on mcq for egypt", "not finite", "model.dtype")
