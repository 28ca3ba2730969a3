"""Write a steering vector for another tool, and measure what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from yapo.errors import YapoError
from yapo.exchange.direction import UNKNOWN, Direction
from yapo.exchange.fidelity import Answer, Fidelity, dense_stand_in, greedy_answers, measure_fidelity, neutral_prompts
from yapo.exchange.formats import Format, get_format
from yapo.files import read_json
from yapo.hub import Repo, cached_file
from yapo.names import NEWEST, is_hub_id
from yapo.steering.steer import Autoencoder
from yapo.steering.steer_checks import check_vector, scaled_vector, strength_of
from yapo.steering.vector import SteeringVector, VectorInfo


@dataclass(frozen=True)
class Export:
    """Result of an export.

    Attributes:
        files: the exported file first.
        direction: what stands in it, with its measured fidelity.
    """

    files: list[Path]
    direction: Direction

    def __str__(self) -> str:
        lost = "; ".join(self.direction.losses) or "nothing"
        return f"{', '.join(map(str, self.files))}\nLost: {lost}.\nMeasured: {self.direction.measured}."


def export(
    vector: SteeringVector,
    path: Path | str,
    to: str,
    *,
    multiplier: float | None = None,
    model: PreTrainedModel | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    prompts: Sequence[str] | None = None,
    sae: Autoencoder | None = None,
    allow_pickle: bool = False,
) -> Export:
    """Write λ·v for another tool: ``gguf``, ``svec``, ``lm-eval``, ``easysteer``, ``neuronpedia`` or ``hf`` (a folder).

    Given the model, fidelity to ``yapo.steer`` is measured: on greedy answers to the prompts, the divergence of the next-token
    distributions and the share of greedy tokens alike. It stands in the file or beside it. A sparse vector goes out as its dense
    stand-in; one that has none gets the mean change over every other prompt, and its fidelity is measured on the rest.

    Examples:
        >>> from pathlib import Path
        >>> import yapo
        >>> pairs = [{"prompt": f"What is {n}?", "chosen": f"It is {n}.", "rejected": f"{n}."} for n in range(10, 20)]
        >>> done = yapo.export(yapo.train("world/model", pairs, layer=2), "v.svec", "svec")
        >>> Path("v.svec").is_file()
        True

    Args:
        vector: what ``yapo.load_vector`` returns.
        path: where to; ends as the format's files do. Nothing is uploaded.
        to: the format.
        multiplier: λ; the one chosen on validation, from the header, if None.
        model: the model that the vector was made for, and its ``tokenizer``; without them nothing is measured.
        prompts: texts to measure on; everyday questions in several languages if None.
        sae: the autoencoder of a sparse vector; the one that the header names if None.
        allow_pickle: agree to a file that its tool unpickles in full (lm-eval).

    Raises:
        YapoError: the format is unknown or cannot hold the vector, the vector has no dense form, or the file cannot be written.
    """
    form, place = get_format(to), Path(path)
    check_vector(vector)
    strength = strength_of(multiplier, vector)
    _check(vector, strength, form, place, to, allow_pickle)
    if (model is None) != (tokenizer is None):
        raise YapoError("model and tokenizer: one without the other; give both, or neither to leave it unmeasured")
    if model is None or tokenizer is None:
        values, fidelity, model_type = _stored_values(vector, strength), None, _stored_model_type(vector.info)
    else:
        answers = greedy_answers(model, tokenizer, vector, strength, sae, neutral_prompts() if prompts is None else prompts)
        values, answers = _values(model, vector, strength, sae, answers)
        fidelity, model_type = _fidelity(model, vector, strength, sae, values, form, answers), str(model.config.model_type)
    direction = Direction(values.contiguous(), vector, strength, model_type, form.positions, fidelity)
    return Export(form.write(direction, place), direction)


def _check(vector: SteeringVector, strength: float, form: Format, path: Path, to: str, allow_pickle: bool) -> None:
    if vector.space.reads_prompt:
        raise YapoError(
            f"to={to}: the edit of a vector by {vector.info.method} depends on the prompt, so that no one direction is "
            "like it; use it with yapo.steer"
        )
    if vector.info.layer < form.lowest_layer:
        raise YapoError(
            f"to={to}: the vector steers block {vector.info.layer}, and llama.cpp refuses a control vector for block 0; "
            "take easysteer or svec, or a vector for a higher layer"
        )
    if form.is_pickle and not allow_pickle:
        raise YapoError(
            f"to={to}: its tool unpickles the file, and a pickle can run code; to write one all the same, give allow_pickle=True "
            "(--allow-pickle)"
        )
    if path.suffix != form.suffix and form.suffix:
        raise YapoError(f"{path}: a file for {to} ends in {form.suffix}; name it so")
    if strength == 0.0:
        raise YapoError("multiplier=0: steers nothing; give another")


def _stored_values(vector: SteeringVector, strength: float) -> Tensor:
    """Return u from what the vector's file holds.

    Raises:
        YapoError: it is sparse, and has no dense stand-in for this λ.
    """
    if not vector.space.of_features:
        return scaled_vector(vector, strength, len(vector.values))
    if vector.dense is None or strength != vector.info.multiplier:
        reason = "has no dense stand-in" if vector.dense is None else f"has a dense stand-in for λ={vector.info.multiplier} only"
        raise YapoError(f"a sparse vector, which {reason}; give the model (and tokenizer), on which one is made and measured")
    return vector.dense.float()


def _values(
    model: PreTrainedModel, vector: SteeringVector, strength: float, sae: Autoencoder | None, answers: list[Answer]
) -> tuple[Tensor, list[Answer]]:
    """Return u and the answers to measure its fidelity on, which it was not made from."""
    if not vector.space.of_features or (vector.dense is not None and strength == vector.info.multiplier):
        return _stored_values(vector, strength), answers
    if len(answers) < 2:
        raise YapoError("prompts: one, but a sparse vector needs two; its dense stand-in is made on one, measured on the other")
    return dense_stand_in(model, vector, strength, sae, answers[::2]).values, answers[1::2]


def _fidelity(
    model: PreTrainedModel,
    vector: SteeringVector,
    strength: float,
    sae: Autoencoder | None,
    values: Tensor,
    form: Format,
    answers: list[Answer],
) -> Fidelity:
    other = replace(vector, dense=values).stand_in()
    if form.positions == "all":
        other = replace(other, info=replace(other.info, steer_bos=True))
    return measure_fidelity(model, vector, strength, sae, other, answers)


def _stored_model_type(info: VectorInfo) -> str:
    """Return the architecture of the model that a header names, where its configuration is on this machine."""
    config: Path | None = Path(info.model) / "config.json"
    if is_hub_id(info.model):
        config = cached_file(Repo("model", info.model, info.model_digest or NEWEST), "config.json")
    try:
        found = read_json(config) if config is not None else {}
    except YapoError:
        return UNKNOWN
    return str(found.get("model_type", UNKNOWN)) if isinstance(found, dict) else UNKNOWN
