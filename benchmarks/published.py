"""The published training step, written from its description: what the faster one is measured against and must agree with.

Sources, equation by equation:

- YaPO (arXiv 2601.08441) eq. 3: ``h' = Dec(ReLU(Enc(h) + u)) + (h - Dec(Enc(h)))``, u = d·v, at every position.
- BiPO (arXiv 2406.00045): ``h' = h + u`` instead.
- YaPO eq. 4 with the sign of its Algorithm 1: ``loss = -log σ(d·β·m)``, m the difference of the steered and the unsteered
  log-ratio of chosen and rejected, log π summed over the answer's tokens.
- Algorithm 1: one d in {-1, 1} a minibatch; AdamW; the unsteered model runs at every step.

Chosen and rejected are two rows, the prompt in both, padded to the longest; logits and their log-softmax are taken at all
positions over the whole vocabulary. Two things are done in its favour: the unsteered pass leaves the autoencoder out, and
blocks below the steered one take part in no backward pass (they hold nothing that requires a gradient).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from yapo.config import TrainConfig
from yapo.models.sae import SAE
from yapo.steering.pair_batch import TokenPair


class PublishedStep:
    """One vector and its optimiser.

    Args:
        model: the whole frozen model.
        pad: id of the padding token.
        layer: 0-based block whose output is steered.
        sae: autoencoder of a sparse vector (YaPO), run in the model's number type as published; None for a dense one (BiPO).
        config: learning rate, β, weight decay, gradient clipping.
    """

    def __init__(self, model: PreTrainedModel, pad: int, layer: int, sae: SAE | None, config: TrainConfig) -> None:
        self.model, self.pad, self.layer, self.config = model, pad, layer, config
        self.sae = None if sae is None else _cast(sae, model.dtype)
        width = model.config.hidden_size if sae is None else sae.d_sae
        self.vector = nn.Parameter(torch.zeros(width, device=model.device))
        self.optimizer = torch.optim.AdamW([self.vector], lr=config.lr, weight_decay=config.weight_decay)

    def __call__(self, pairs: list[TokenPair], d: int) -> float:
        """One step; returns the loss. The gradient is left on the vector until the next step."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(pairs, d)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([self.vector], self.config.grad_clip)
        self.optimizer.step()
        return float(loss.detach())

    def loss(self, pairs: list[TokenPair], d: int) -> Tensor:
        """Mean over the pairs of -log σ(dβm)."""
        ids, real, answer = self._rows(pairs)
        handle = self.model.model.layers[self.layer].register_forward_hook(self._edit(d * self.vector))
        steered = self._log_probs(ids, real, answer)
        handle.remove()
        with torch.no_grad():
            reference = self._log_probs(ids, real, answer)
        ratio = steered - reference
        margin = ratio[: len(pairs)] - ratio[len(pairs) :]
        loss: Tensor = -nn.functional.logsigmoid(d * self.config.beta * margin).mean()
        return loss

    def _rows(self, pairs: list[TokenPair]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, mask of real tokens, mask of answer tokens, ``[2 * pairs, T]``: first all chosen, then all rejected."""
        rows = [p.prompt + p.chosen for p in pairs] + [p.prompt + p.rejected for p in pairs]
        prompts = [len(p.prompt) for p in pairs] * 2
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), self.pad)
        real, answer = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids, dtype=torch.bool)
        for i, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
            ids[i, : len(row)] = torch.tensor(row)
            real[i, : len(row)] = True
            answer[i, prompt : len(row)] = True
        device = self.model.device
        return ids.to(device), real.to(device), answer.to(device)

    def _log_probs(self, ids: Tensor, real: Tensor, answer: Tensor) -> Tensor:
        """log π of the answer in each row, ``[2 * pairs]``."""
        logits = self.model(input_ids=ids, attention_mask=real.long(), use_cache=False).logits
        log_probs = logits[:, :-1].float().log_softmax(dim=-1)
        picked: Tensor = log_probs.gather(2, ids[:, 1:, None])[..., 0]
        return (picked * answer[:, 1:]).sum(dim=1)

    def _edit(self, u: Tensor):  # type: ignore[no-untyped-def]  # a hook, of which torch has no public type
        def edit(_module: nn.Module, _args: object, hidden: Tensor) -> Tensor:
            if self.sae is None:
                return hidden + u.to(hidden.dtype)
            return dense_edit(self.sae, hidden, u.to(hidden.dtype))

        return edit


def dense_edit(sae: SAE, hidden: Tensor, u: Tensor) -> Tensor:
    """YaPO eq. 3 as written, three products as wide as the autoencoder, in the number type of ``hidden``."""
    x = hidden - sae.b_dec if sae.apply_b_dec_to_input else hidden
    p = x @ sae.W_enc + sae.b_enc
    assert sae.threshold is not None, "these benchmarks use JumpReLU autoencoders, as published"
    s = p.relu() * (p > sae.threshold)
    error = hidden - (s @ sae.W_dec + sae.b_dec)
    return torch.relu(s + u) @ sae.W_dec + sae.b_dec + error


def _cast(sae: SAE, dtype: torch.dtype) -> SAE:
    assert sae.threshold is not None
    return replace(
        sae,
        W_enc=sae.W_enc.to(dtype),
        b_enc=sae.b_enc.to(dtype),
        W_dec=sae.W_dec.to(dtype),
        b_dec=sae.b_dec.to(dtype),
        threshold=sae.threshold.to(dtype),
    )
