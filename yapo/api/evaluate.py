"""Scores on preference pairs and questions, without steering, under a vector and under a random control."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from yapo.api.item_scores import Answering, score_items
from yapo.api.items import kind_of, read_items
from yapo.api.models import opened_model, opened_sae, own_names
from yapo.api.pair_scores import score_pairs
from yapo.api.pairs import Rows, read_pairs
from yapo.api.scores import Score
from yapo.checks import Dtype, one_of, require
from yapo.config.evaluation import LikelihoodConfig, McqMetric, McqWay
from yapo.errors import YapoError
from yapo.evaluation.decoding import Condition
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.models.sae_places import find_sae
from yapo.steering.steer_checks import check_model, scaled_vector, strength_of
from yapo.steering.vector import SteeringVector

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from yapo.evaluation.judges import Judge


def evaluate(
    model: PreTrainedModel | Path | str,
    vector: SteeringVector,
    data: Rows,
    multiplier: float | None = None,
    sae: SAE | Path | str | None = None,
    *,
    mcq: McqWay = "likelihood",
    answer: Literal["number", "text"] = "number",
    metric: McqMetric = "acc",
    judge: Judge | None = None,
    max_new_tokens: int = 48,
    seed: int = 0,
    max_prompt_tokens: int = 2048,
    dtype: Dtype = "float32",
    device: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Score]:
    """Measure a vector on pairs or questions that it was not trained on.

    Examples:
        >>> import yapo
        >>> pairs = [{"prompt": f"What is {n}?", "chosen": f"It is a number: {n}.", "rejected": f"{n}."} for n in range(10, 20)]
        >>> vector = yapo.train("world/model", pairs, layer=2)
        >>> items = [{"question": f"What is {n}?", "options": [f"{n}.", f"{n + 1}."], "answer_index": 0} for n in range(9)]
        >>> [(found.condition, found.n) for found in yapo.evaluate("world/model", vector, items)]
        [('unsteered', 9), ('steered', 9), ('random', 9)]

    Args:
        model: as ``yapo.train`` takes it, and ``dtype``, ``device``, ``tokenizer`` with it.
        vector: dense or sparse.
        data: pairs, as ``yapo.train`` takes them; or, in the same kinds of files, questions with ``options`` and
            ``answer_index``, or with ``answer`` alone; see ``yapo.api.items.read_items``.
        multiplier: λ; that of the header if None.
        sae: the autoencoder of a sparse vector; found by its digest if None.
        mcq: how multiple choice is answered: the likeliest option, or the number that the model writes in a box.
        answer: what is weighed by likelihood: the option's number, after question and options, or its text, after the question
            alone.
        metric: what the log-probability of an option is divided by; see ``LikelihoodConfig``.
        judge: grades free answers from 0 to 10; without one an answer is right where it contains the right one.
        max_new_tokens: longest answer that is written.
        seed: of the random direction and of the bootstrap.
        max_prompt_tokens: pairs with a longer prompt are left out.

    Returns:
        One entry a condition.

    Raises:
        YapoError: the data, the model or the autoencoder do not fit, or the vector's edit depends on the prompt.
    """
    with own_names():
        if vector.space.reads_prompt:
            raise YapoError(f"space={vector.info.space}: its edit depends on the prompt; measure it in a study")
        one_of("mcq", mcq, get_args(McqWay))
        require(max_new_tokens > 0, "max_new_tokens", max_new_tokens, "at least 1")
        weighing, kind = LikelihoodConfig(answer, metric), kind_of(data)
        if judge is not None and kind != "free":
            raise YapoError(
                "judge: grades free answers, and these data are others; leave it out, or give question and answer alone"
            )
        answering = Answering(mcq, weighing, judge, max_new_tokens)
        rows = read_pairs(data)[0] if kind == "pairs" else read_items(data, kind)
        with opened_model(model, tokenizer, vector.info.extra.get("plain") is True, dtype, device) as lm:
            check_model(lm.model, vector)
            layer, steered = vector.info.layer, _steered(lm, vector, multiplier, sae)
            if kind == "pairs":
                scored = score_pairs(lm, rows, layer, steered, seed, max_prompt_tokens)
            else:
                scored = score_items(lm, rows, kind, answering, layer, steered, seed)
    return scored.averaged(seed)


def _steered(lm: LanguageModel, vector: SteeringVector, multiplier: float | None, sae: SAE | Path | str | None) -> Condition:
    """Return the vector as a condition of the model."""
    info = vector.info

    def autoencoder(_: int) -> SAE:
        given = None if sae is None else opened_sae(sae, lm.device)
        return given or find_sae(info.sae, info.sae_digest, vector.file, lm.device)

    edit = vector.intervention(lm.d_model, autoencoder, lm.device)
    u = scaled_vector(vector, strength_of(multiplier, vector), edit.width).to(lm.device)
    return Condition(edit, u, info.steer_bos)
