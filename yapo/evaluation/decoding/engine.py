"""Completions of many prompts under many steering conditions, by continuous batching.

The blocks up to a steered layer read each prompt once, whatever the number of conditions. From there on every (condition,
prompt) is a row of its own. A fixed number of rows is decoded together, in steps of one shape; the host looks at them every few
steps, and gives the slots of rows that have ended to those that wait. ``tests/evaluation/test_decoding.py`` holds it equal to
running each prompt anew for every token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from yapo.evaluation.decoding.conditions import Condition, Steering, by_layers, grouped, token_edits
from yapo.evaluation.decoding.sampling import Sampling
from yapo.evaluation.decoding.slots import Slots
from yapo.evaluation.decoding.step import Graphs, Step
from yapo.models.language_model import KeyValues, LanguageModel, Masks, causal, pad_right
from yapo.steering.sparse_codes import SparseCodes

PROMPTS = 64  # prompts whose lower part is held at once
PREFILL_TOKENS = 2**15  # of one forward pass over prompts
CAPTURED = 4  # kinds of step whose graphs are kept


@dataclass(eq=False)
class Completion:
    """One row: a prompt under a condition."""

    condition: int
    prompt: int
    tokens: list[int] = field(default_factory=list)


class Decoder:
    """Decodes for one model, keeping its storage and captured graphs from call to call.

    Args:
        lm: the model.
        rows: completions in progress at once.
        graphs: whether steps are captured as CUDA graphs; where there is a GPU, if None.
        steps: how many steps are run before the host looks which rows have ended; 16 on a GPU, where looking makes it wait,
            and 1 elsewhere, if None.
    """

    def __init__(self, lm: LanguageModel, rows: int, graphs: bool | None = None, steps: int | None = None) -> None:
        cuda = lm.device.type == "cuda"
        self.lm, self.rows = lm, rows
        self.graphs = cuda if graphs is None else graphs
        self.steps = (16 if cuda else 1) if steps is None else steps
        self.grain = 128 if cuda else 8  # key lengths are multiples of it, so that few shapes occur
        self._slots: Slots | None = None
        self._captured: dict[tuple[object, ...], tuple[Step, Graphs]] = {}

    @torch.inference_mode()
    def complete(
        self,
        layer: int,
        prompts: Sequence[list[int]],
        conditions: Sequence[Condition],
        max_new_tokens: int,
        sampling: Sampling | None = None,
    ) -> list[list[list[int]]]:
        """Return the token ids of every completion, without the prompt and up to the end of the turn.

        Args:
            layer: 0-based block whose output is edited, unless an intervention names one of its own.
            prompts: token ids.
            conditions: ways to answer.
            max_new_tokens: limit of one completion.
            sampling: how to draw tokens; the likeliest ones if None.

        Returns:
            ``[condition][prompt]``.
        """
        done: list[list[list[int]]] = [[[] for _ in prompts] for _ in conditions]
        if not prompts or not conditions or max_new_tokens < 1:
            return done
        slots = self._storage(max(map(len, prompts)) + max_new_tokens, len(prompts) * len(conditions))
        for layers, members in by_layers(conditions, layer).items():
            batch = _Batch(self, slots, layers, prompts, [conditions[c] for c in members], max_new_tokens, sampling)
            for completion in batch.run():
                done[members[completion.condition]][completion.prompt] = completion.tokens
        return done

    def length(self, tokens: int) -> int:
        """Return the key length of a step in which the longest row has ``tokens``."""
        return -(-tokens // self.grain) * self.grain

    def size(self, live: int, rows: int) -> int:
        """Return the rows to go on with when only ``live`` of ``rows`` are left and none waits."""
        if self.lm.device.type != "cuda":
            return live if live <= 0.75 * rows else rows
        smaller = rows
        while smaller >= 2 * max(live, 8):
            smaller //= 2
        return smaller

    def shared(self, step: Step) -> tuple[Step, Graphs]:
        """Return a step like this one, with the graphs captured of it."""
        if step.key in self._captured:
            mine, graphs = self._captured[step.key]
            for kept, new in zip(mine.edits, step.edits, strict=True):
                kept.load(new)
            return mine, graphs
        if len(self._captured) == CAPTURED:
            self._captured.pop(next(iter(self._captured)))
        self._captured[step.key] = step, Graphs()
        return self._captured[step.key]

    def _storage(self, tokens: int, completions: int) -> Slots:
        """Return slots for the longest row and as many rows as asked for, or as there is work for."""
        rows, capacity = min(self.rows, completions), self.length(tokens + self.steps)
        if self.lm.device.type == "cuda":
            rows = min(self.rows, 1 << (rows - 1).bit_length())
        slots = self._slots
        if slots is None or slots.capacity < capacity or slots.rows < rows or slots.written.shape[0] < self.steps:
            self._captured.clear()
            self._slots = slots = None  # before the new one is made
            slots = self._slots = Slots.empty(self.lm, rows, capacity, self.steps)
        return slots.first(rows)


class _Batch:
    """The decoding of some prompts under conditions that edit one layer."""

    def __init__(
        self,
        decoder: Decoder,
        slots: Slots,
        layers: tuple[int, int | None],
        prompts: Sequence[list[int]],
        conditions: Sequence[Condition],
        limit: int,
        sampling: Sampling | None,
    ) -> None:
        self.decoder, self.lm, self.slots = decoder, decoder.lm, slots
        slots.reset()
        self.layer, self.reads = layers
        self.prompts, self.conditions, self.limit, self.sampling = prompts, conditions, limit, sampling
        interventions = [condition.intervention if condition.u is not None else None for condition in conditions]
        us = [condition.u for condition in conditions]
        pairs = token_edits(interventions, us, decoder.rows, self.lm.dtype, self.lm.device)
        temperature = None if sampling is None else sampling.temperature
        self.step, self.captured = decoder.shared(Step(self.lm, self.layer, [edit for _, edit in pairs], temperature))
        self.steering = Steering.of_all(conditions, [one for one, _ in pairs], self.lm.device)
        self.edit_of = {id(one): edit for (one, _), edit in zip(pairs, self.step.edits, strict=True)}
        self.held: list[Completion | None] = [None] * slots.rows
        self.ends = self.lm.tokenizer.ends
        self.order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))

    def run(self) -> Iterator[Completion]:
        """Decode everything; completions come as they end."""
        waiting = self._chunks()
        chunk: _Chunk | None = next(waiting)
        while True:
            free = [row for row, held in enumerate(self.held) if held is None]
            live = len(self.held) - len(free)
            refill = live == 0 or 4 * len(free) >= len(self.held)
            while chunk is not None and free and refill:
                self._admit(chunk, free)
                if not chunk.queue:
                    chunk = next(waiting, None)
            live = len(self.held) - len(free)
            if live == 0:
                return
            if chunk is None:
                self._shrink(live)
            steps = min(self.decoder.steps, self._remaining())
            if steps > 0:
                self._advance(steps)
            yield from self._collect(steps)

    def _chunks(self) -> Iterator[_Chunk]:
        """Yield prompts of like length with all their conditions, the longest first."""
        for start in range(0, len(self.order), PROMPTS):
            part = self.order[start : start + PROMPTS]
            yield _Chunk.of(self, part)

    def _admit(self, chunk: _Chunk, free: list[int]) -> None:
        """Fill free slots with the next completions of a chunk that share a steering; removes them from ``free``."""
        first = chunk.queue[0].condition
        steering = self.steering[first]
        most = max(1, PREFILL_TOKENS // chunk.tokens)
        taken: list[Completion] = []
        while chunk.queue and len(taken) < min(len(free), most) and self.steering[chunk.queue[0].condition] is steering:
            taken.append(chunk.queue.popleft())
        rows, free[:] = free[: len(taken)], free[len(taken) :]
        for row, completion in zip(rows, taken, strict=True):
            self.held[row] = completion
        chunk.prefill(taken, torch.tensor(rows, device=self.lm.device), steering)

    def _remaining(self) -> int:
        """Return steps until the row that may go on longest reaches the limit; a row without tokens has one from its prompt."""
        return max(self.limit - max(1, len(held.tokens)) for held in self.held if held is not None)

    def _longest(self) -> int:
        """Return keys of the longest row, the one of its next token included."""
        return max(len(self.prompts[h.prompt]) + max(1, len(h.tokens)) for h in self.held if h is not None)

    def _advance(self, steps: int) -> None:
        self.slots.column.zero_()
        length = min(self.decoder.length(self._longest() + steps - 1), self.slots.capacity)
        if self.decoder.graphs:
            self.captured.run(self.step, self.slots, length, steps)
        else:
            for _ in range(steps):
                self.step(self.slots, length)

    def _collect(self, steps: int) -> Iterator[Completion]:
        """Bring the new tokens of every row to the host, and let go of rows that have ended."""
        columns = torch.cat([self.slots.written[:steps], self.slots.token[None]]).T.tolist()
        for row, held in enumerate(self.held):
            if held is None:
                continue
            for token in columns[row][1 if held.tokens else 0 :]:  # the first was seen before
                held.tokens.append(token)
                if token in self.ends or len(held.tokens) == self.limit:
                    self.held[row] = None
                    yield held
                    break

    def _shrink(self, live: int) -> None:
        """Go on with fewer rows where few are left and none waits."""
        size = self.decoder.size(live, len(self.held))
        if size == len(self.held):
            return
        kept = [row for row, held in enumerate(self.held) if held is not None]
        sources = torch.tensor(kept, device=self.lm.device)
        self.slots.move(sources, min(self.decoder.length(self._longest()), self.slots.capacity))
        for edit in self.step.edits:
            edit.move(sources)
        self.slots = self.slots.first(size)
        self.held = [self.held[row] for row in kept] + [None] * (size - live)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Prompts run up to the steered layer, and the completions that wait for them."""

    batch: _Batch
    chosen: list[int]
    ids: Tensor
    real: Tensor
    positions: Tensor
    masks: Masks
    read: Tensor
    hidden: Tensor
    below: KeyValues
    last: Tensor
    queue: deque[Completion]
    known: dict[int, tuple[SparseCodes | None, Tensor | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: _Batch, part: list[int]) -> _Chunk:
        """Run some prompts, and queue them under every condition."""
        lm = batch.lm
        ids, real = pad_right([batch.prompts[i] for i in part], lm.tokenizer.pad, lm.device)
        positions, allowed = causal(real)
        masks, below = lm.masks(allowed, positions, positions), KeyValues()
        between = batch.layer if batch.reads is None else batch.reads
        read = lm.blocks(lm.embed(ids), 0, between + 1, positions, masks, below)
        hidden = lm.blocks(read, between + 1, batch.layer + 1, positions, masks, below) if between < batch.layer else read
        queue = deque(Completion(c, k) for c in grouped(batch.steering) for k in range(len(part)))
        return cls(batch, part, ids, real, positions, masks, read, hidden, below, real.sum(dim=1) - 1, queue)

    @property
    def tokens(self) -> int:
        """Number of tokens of the longest prompt."""
        return self.ids.shape[1]

    def prefill(self, taken: list[Completion], slots: Tensor, steering: Steering | None) -> None:
        """Steer the prompts of some completions, run them to the end, and put them into slots with their first new token."""
        batch, lm = self.batch, self.batch.lm
        which = torch.tensor([completion.prompt for completion in taken], device=lm.device)
        hidden, positions = self.hidden[which], self.positions[which]
        if steering is not None:
            codes, context = self._read_by(steering)
            indices = [steering.index_of[completion.condition] for completion in taken]
            owner = torch.tensor(indices, device=lm.device)[:, None]
            context = None if context is None else context[which]
            codes = None if codes is None else codes.rows(which)
            live = steering.live(self.real[which], positions, self.last[which][:, None])
            hidden = steering.intervention.edit(hidden, codes, steering.state, owner, live, context)
            batch.edit_of[id(steering.whole)].admit(slots, context)
        above, last = KeyValues(), self.last[which][:, None]
        top = lm.blocks(hidden, batch.layer + 1, lm.n_layers, positions, self.masks.select(which), above, read=last)
        state = batch.slots
        state.fill(slots, self.below, self.tokens, which)
        state.fill(slots, above, self.tokens)
        state.position[slots] = last[:, 0] + 1
        state.owner[slots] = torch.tensor([completion.condition for completion in taken], device=lm.device)
        if batch.sampling is not None:
            seeds = [batch.sampling.row_seed(completion.condition, self.chosen[completion.prompt]) for completion in taken]
            state.noise[slots] = torch.tensor(seeds, device=lm.device)
        state.token[slots] = batch.step.choose(top[:, -1], state.noise[slots], state.position[slots])
        for completion in taken:
            completion.prompt = self.chosen[completion.prompt]

    def _read_by(self, steering: Steering) -> tuple[SparseCodes | None, Tensor | None]:
        """Return what an intervention needs to know of these prompts, computed once."""
        if id(steering) not in self.known:
            codes = steering.intervention.codes(self.hidden)
            self.known[id(steering)] = codes, steering.intervention.context(self.read, self.ids, self.real)
        return self.known[id(steering)]
