"""Fidelity of an exported file: how near another tool comes to ``yapo.steer`` with it, measured on prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from yapo.errors import YapoError
from yapo.models.tokenizer import ChatTokenizer
from yapo.steering.portable import StandIn, mean_change
from yapo.steering.steer import Autoencoder, steer
from yapo.steering.vector import SteeringVector

NEW_TOKENS = 24  # of each greedy answer
NEUTRAL = Path(__file__).with_name("neutral_prompts.txt")


@dataclass(frozen=True)
class Fidelity:
    """Agreement of the steering of another tool with ``yapo.steer``.

    The answers are greedy, under ``yapo.steer``; at each of their tokens both give a next-token distribution.

    Attributes:
        kl: mean over the tokens of KL(yapo.steer || other tool), in nats.
        effect: the same for the unsteered model, to compare it with: KL(yapo.steer || unsteered).
        agreement: share of tokens at which both would choose the same token, 0 to 1.
        tokens: how many tokens, in the answers to how many ``prompts``.
    """

    kl: float
    effect: float
    agreement: float
    tokens: int
    prompts: int

    def __str__(self) -> str:
        return (
            f"KL {self.kl:.2g} nats a token (to the unsteered model {self.effect:.2g}), {100 * self.agreement:.1f} % of greedy "
            f"tokens alike, over {self.tokens} tokens in the answers to {self.prompts} prompts"
        )


@dataclass(frozen=True)
class Answer:
    """A prompt and the greedy answer to it under the vector.

    Attributes:
        ids: both, ``[1, tokens]``.
        start: index of the answer's first token.
    """

    ids: Tensor
    start: int


def neutral_prompts() -> list[str]:
    """Return the built-in prompts: everyday questions in several languages."""
    return NEUTRAL.read_text(encoding="utf-8").splitlines()


def read_prompts(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty.

    Raises:
        YapoError: there is no such file, or it is not UTF-8.
    """
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"cannot be read ({error.strerror})"
        raise YapoError(f"{path}: {reason}; give a text file with a prompt on each line") from None


@torch.inference_mode()
def greedy_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    vector: SteeringVector,
    multiplier: float,
    sae: Autoencoder | None,
    prompts: Sequence[str],
) -> list[Answer]:
    """Return the greedy answer to each prompt under ``yapo.steer``.

    A tokenizer with a chat template asks each prompt as a user's turn; any other takes it as a text to go on with.
    """
    answers = []
    for ids in _encoded(tokenizer, prompts):
        prompt = torch.tensor([ids], device=model.device)
        with steer(model, vector, multiplier, sae):
            whole = model.generate(
                input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS, do_sample=False
            )
        answers.append(Answer(whole, prompt.shape[1]))
    return answers


def _encoded(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> list[list[int]]:
    if not prompts:
        raise YapoError("prompts: none given; give at least one, or leave them out for the built-in ones")
    if tokenizer.chat_template is not None:
        chat = ChatTokenizer(tokenizer)
        return [chat.prompt(text) for text in prompts]
    return [list(tokenizer(text)["input_ids"]) for text in prompts]


@torch.inference_mode()
def measure_fidelity(
    model: PreTrainedModel,
    vector: SteeringVector,
    multiplier: float,
    sae: Autoencoder | None,
    other: SteeringVector,
    answers: Sequence[Answer],
) -> Fidelity:
    """Compare ``yapo.steer`` by a vector with the steering of another tool.

    Args:
        model: a decoder-only transformers model.
        vector: the vector, applied at ``multiplier`` and with ``sae`` as ``yapo.steer`` does.
        other: a vector that ``yapo.steer`` applies as the other tool would, at its own multiplier.
        answers: what ``greedy_answers`` returned for the vector.
    """
    kl = effect = 0.0
    alike = tokens = 0
    for answer in answers:
        with steer(model, vector, multiplier, sae):
            ours = _log_probs(model, answer)
        with steer(model, other):
            theirs = _log_probs(model, answer)
        kl += _divergence(ours, theirs)
        effect += _divergence(ours, _log_probs(model, answer))
        alike += int((ours.argmax(dim=-1) == theirs.argmax(dim=-1)).sum())
        tokens += len(ours)
    return Fidelity(kl / tokens, effect / tokens, alike / tokens, tokens, len(answers))


def _divergence(p: Tensor, q: Tensor) -> float:
    """Return the sum over rows of KL(p || q), from log-probabilities ``[rows, vocabulary]``; never below 0 by rounding."""
    return max(0.0, float((p.exp() * (p - q)).double().sum()))


def _log_probs(model: PreTrainedModel, answer: Answer) -> Tensor:
    """Return log-probabilities before each token of the answer, ``[answer tokens, vocabulary]`` float32."""
    logits: Tensor = model(input_ids=answer.ids[:, :-1]).logits[0, answer.start - 1 :]
    return logits.float().log_softmax(dim=-1)


@torch.inference_mode()
def dense_stand_in(
    model: PreTrainedModel, vector: SteeringVector, multiplier: float, sae: Autoencoder | None, answers: Sequence[Answer]
) -> StandIn:
    """Return the mean change that steering makes to the output of the steered block, over the tokens that it steers."""
    block, first = model.model.layers[vector.info.layer], 0 if vector.info.steer_bos else 1
    changes = []
    for answer in answers:
        with _outputs(block) as before, steer(model, vector, multiplier, sae), _outputs(block) as after:
            model(input_ids=answer.ids)
        changes.append((after[0] - before[0])[0, first:].float().cpu())
    return mean_change(changes, model.config.hidden_size)


@contextmanager
def _outputs(block: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of a block, as the hooks registered so far leave them."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).clone())

    handle = block.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
