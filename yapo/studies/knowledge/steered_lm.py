"""A steered model for EleutherAI's lm-eval: every task of it runs on a model under one of our vectors.

lm-eval finds the model under the name ``yapo`` once this module is imported, which its own command line does through

    python -m yapo.studies.knowledge.steered_lm run --model yapo --model_args pretrained=MODEL,vector=VECTOR --tasks mmlu

Requests are steered as everywhere else: every token but the first of a row; by a vector with a map (DSPA), the tokens that
predict the continuation, as the context says. lm-eval scores log-likelihoods in batches padded
on the right, without a mask, where the first token is at position 0 and padding stands behind everything that is read. It
generates from batches padded on the left, with a mask, which ``yapo.steer`` reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import torch
import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.registry import model_registry
from lm_eval.models.huggingface import HFLM
from torch import Tensor

from yapo.checks import Attention, Dtype
from yapo.config import ModelConfig
from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel, load_language_model
from yapo.models.sae import SAE
from yapo.steering.steer import steer
from yapo.steering.vector import SteeringVector

Encoded = tuple[tuple[str, str], list[int], list[int]]
"""A request: its texts, the ids of its context, and the ids of its continuation."""


class SteeredLM(HFLM):  # type: ignore[misc]  # lm-eval is not typed
    """lm-eval's Hugging Face model, its requests answered under a steering vector.

    Log-probabilities are float32 whatever the weights are: in bfloat16 the labels of a multiple-choice question tie often.

    Args:
        pretrained: a model folder or hub id, or a model already loaded.
        vector: a vector file, or a vector; None for the unsteered model. May be replaced at any time.
        multiplier: λ; the one chosen on validation, from the vector's header, if None.
        sae: the autoencoder of a sparse vector, or those of several layers by layer; the one named in the header if None.
        dtype, attention: as in ``ModelConfig``, where ``pretrained`` is not loaded yet.
        batch_size: rows of one forward pass.
        max_batch_size: where ``batch_size`` is "auto".
        device: where to load the model; a GPU if there is one.

    Raises:
        YapoError: the model, the vector or its autoencoder cannot be read.
    """

    def __init__(
        self,
        pretrained: str | LanguageModel,
        vector: str | Path | SteeringVector | None = None,
        multiplier: float | None = None,
        sae: SAE | str | Path | Mapping[int, SAE] | None = None,
        dtype: Dtype = "float32",
        attention: Attention = "auto",
        batch_size: int | str = 1,
        max_batch_size: int | None = 64,
        device: str | None = None,
    ) -> None:
        self.vector = SteeringVector.load(vector) if isinstance(vector, str | Path) else vector
        self.multiplier = multiplier
        self.sae = sae
        self._contexts: dict[tuple[int, ...], int] = {}  # length of the context in each row that is scored
        if isinstance(pretrained, str):
            place = device if torch.cuda.is_available() else None  # lm-eval's command line asks for a GPU that may not be there
            pretrained = load_language_model(ModelConfig(path=pretrained, dtype=dtype, attention=attention), place)
        super().__init__(
            pretrained=pretrained.model,
            tokenizer=pretrained.tokenizer.tokenizer,
            batch_size=batch_size,
            max_batch_size=max_batch_size,
            softmax_dtype="float32",
        )

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return the log-probability of each continuation after its context, and whether greedy decoding would write it."""
        with self._steered(scoring=True):
            return list(super().loglikelihood(requests, disable_tqdm))

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-probability of each text; the first token of every window is its context, and is not steered."""
        with self._steered(scoring=True):
            return list(super().loglikelihood_rolling(requests, disable_tqdm))

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return a completion of each prompt."""
        with self._steered(scoring=False):
            return list(super().generate_until(requests, disable_tqdm))

    def tok_batch_encode(
        self, strings: list[str], padding_side: str = "left", left_truncate_len: int | None = None, truncation: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return ids and mask of prompts; refuse one that is too long where lm-eval would cut off its start, BOS first."""
        ids, mask = super().tok_batch_encode(strings, padding_side, truncation=truncation)
        if left_truncate_len is not None:
            self._check_length(ids.shape[1], left_truncate_len)
        return ids, mask

    def _loglikelihood_tokens(
        self, requests: list[Encoded], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        longest = max((len(context) + len(continuation) for _, context, continuation in requests), default=0)
        self._check_length(longest - 1, self.max_length)  # the last token is only predicted
        self._contexts = {_key((context + continuation)[:-1]): len(context) for _, context, continuation in requests}
        return list(super()._loglikelihood_tokens(requests, disable_tqdm, override_bs))

    @staticmethod
    def _check_length(tokens: int, limit: int) -> None:
        if tokens > limit:
            raise YapoError(f"a question of {tokens} tokens does not fit into the model's {limit}; lower knowledge.num_fewshot")

    @contextmanager
    def _steered(self, scoring: bool) -> Iterator[None]:
        if self.vector is None:
            yield
        else:
            with steer(self.model, self.vector, self.multiplier, self.sae, self._answer_starts if scoring else None):
                yield

    def _answer_starts(self, ids: Tensor) -> Tensor:
        """Return the start of the continuation in each row, ``[rows]``; the row's end where lm-eval only tries a batch size."""
        return torch.tensor([self._contexts.get(_key(row), len(row)) for row in ids.tolist()], device=ids.device)


def _key(ids: list[int]) -> tuple[int, ...]:
    """Return a row without the zeros that lm-eval pads it with."""
    end = len(ids)
    while end and ids[end - 1] == 0:
        end -= 1
    return tuple(ids[:end])


if "yapo" not in model_registry:  # releases that read entry points know the name already
    model_registry.register("yapo", target=SteeredLM)


def check_tasks(folder: Path) -> None:
    """Refuse task files that would have Python code run, which lm-eval does where a file has the tag ``!function``.

    Raises:
        YapoError: a file of the folder has such a tag, takes in a file from elsewhere, or cannot be read.
    """
    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml"))):
        try:
            events = list(yaml.parse(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader))
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise YapoError(f"{path}: not a task file that can be read ({reason}); delete it, or mend it") from None
        for event, value in pairwise(events):
            tag = str(getattr(event, "tag", None) or "")
            if tag.startswith("!") and tag != "!":
                raise YapoError(f"{path}: the tag {tag} runs code; delete the file, or run it with the command lm-eval itself")
            included = Path(str(getattr(value, "value", ""))) if getattr(event, "value", None) == "include" else Path()
            if included.is_absolute() or ".." in included.parts:
                raise YapoError(f"{path}: include={included} is outside this folder; put the file into it")


def main(arguments: Sequence[str]) -> None:
    """Run lm-eval's command line with a steered model; code that comes with tasks or models is never run.

    Raises:
        YapoError: a task or file is not there, or an option asks to run such code.
    """
    for option in ("--trust_remote_code", "--confirm_run_unsafe_code"):
        if option in arguments or "trust_remote_code" in " ".join(arguments):
            raise YapoError(f"{option}: no code of a model or task is run here; leave the option out")
    included = [value for name, value in pairwise(arguments) if name == "--include_path"]
    included += [word.partition("=")[2] for word in arguments if word.startswith("--include_path=")]
    ours = "`snakemake --cores 8 knowledge` writes the study's own tasks there; run it first"
    for folder in map(Path, included):
        if not folder.is_dir():
            raise YapoError(f"--include_path {folder}: no such folder; {ours}")
        check_tasks(folder)
    from lm_eval.__main__ import cli_evaluate

    try:
        cli_evaluate()
    except ValueError as error:
        if "not found" not in str(error).lower():
            raise
        hint = f" (for tasks called culture_..., {ours.replace('there', f'to {included[0]}')})" if included else ""
        raise YapoError(f"--tasks: {error}; `lm-eval ls tasks` lists lm-eval's own{hint}") from None
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise YapoError(f"--model_args: {error}; take those that docs/knowledge.md lists") from None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except YapoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
