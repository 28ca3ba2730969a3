"""The activation store: what training needs of the frozen model, computed once per (model, layer, autoencoder, pairs).

The blocks up to the steered layer never change, so neither do the residual stream after it, the features that fire on it,
and the unsteered log-probabilities of both answers. One store serves every method and setting of a country ("both" is the
union of the other two settings). On disk it is one safetensors file, read as a memory map: a training step touches the pages
of its own pairs only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from yapo.errors import YapoError
from yapo.files import digest
from yapo.models.sae import SAE, check_fits
from yapo.steering.pair_batch import PairBatch, TokenPair, answer_log_probs, batch_pairs
from yapo.steering.sparse_codes import SparseCodes
from yapo.tensors import load_tensors, stream_tensors

if TYPE_CHECKING:
    from yapo.models.language_model import LanguageModel

PART_BYTES = 2**28  # states held in memory before they are put on disk while a store is built
GIGABYTE = 10**9
# The tensors of a file: type, None where it is the model's, and number of dimensions.
TENSORS: dict[str, tuple[torch.dtype | None, int]] = {
    "hidden": (None, 2),
    "code_values": (torch.float32, 1),
    "reference": (torch.float32, 2),
    "ids": (torch.int32, 1),
    "lengths": (torch.int32, 2),
    "code_ids": (torch.int32, 1),
    "code_counts": (torch.int32, 1),
}


@dataclass(frozen=True)
class StoreKey:
    """The origin of a store. Two stores with the same key hold the same numbers.

    Attributes:
        model: digest of the weights, and ``dtype`` they ran in.
        layer: 0-based block whose output is kept.
        sae: digest of the autoencoder.
        pairs: digest of the token ids.
    """

    model: str
    dtype: str
    layer: int
    sae: str
    pairs: str

    @classmethod
    def of(cls, lm: LanguageModel, layer: int, sae: SAE, pairs: list[TokenPair]) -> StoreKey:
        """Return the key of the store that ``build_store`` would make of these."""
        return cls(lm.digest, str(lm.dtype), layer, sae.digest, digest([[p.prompt, p.chosen, p.rejected] for p in pairs]))


@dataclass(frozen=True)
class ActivationStore:
    """Pairs with their frozen quantities.

    Attributes:
        key: what they were computed from.
        pairs: token ids.
        hidden: residual stream after block L of each pair, ``[tokens of the pair, d_model]`` in the model's number type.
        codes: the features that fire on it, one row each.
        reference: unsteered log-probabilities of chosen and rejected, ``[pairs, 2]`` float32.
    """

    key: StoreKey
    pairs: list[TokenPair]
    hidden: list[Tensor]
    codes: list[SparseCodes]
    reference: Tensor

    def batch(self, rows: Sequence[int], width: int = 0) -> tuple[PairBatch, Tensor]:
        """Lay out some pairs in rows of ``width`` tokens at least; return it and their states, ``[rows, T, d_model]``."""
        batch = batch_pairs([self.pairs[i] for i in rows], width)
        return batch, batch.packed([self.hidden[i] for i in rows])

    def check(self, **asked: str | int) -> None:
        """Refuse another model, number type, layer or autoencoder than what the pairs were run with.

        Args:
            asked: values of ``StoreKey`` by name.
        """
        found = {name: getattr(self.key, name) for name in asked}
        if found != asked:
            raise YapoError(f"activations of {_told(found)}, but {_told(asked)} are asked for; run the stage prepare again")

    @classmethod
    def joined(cls, stores: Sequence[ActivationStore]) -> ActivationStore:
        """Join stores of one model, layer and autoencoder end to end, so that vectors of several countries can train together.

        Row i of the second store becomes row ``len(first.pairs) + i``, and so on. Nothing is copied.
        """
        key = stores[0].key
        for store in stores:
            if (store.key.model, store.key.dtype, store.key.layer, store.key.sae) != (key.model, key.dtype, key.layer, key.sae):
                raise YapoError(f"activations of {store.key} cannot be joined with those of {key}; prepare them alike")
        pairs = digest([store.key.pairs for store in stores])
        return _joined(StoreKey(key.model, key.dtype, key.layer, key.sae, pairs), stores)

    @property
    def mean_norm(self) -> float:
        """Norm of the states of a pair but for its first token, in the mean over its tokens and then over pairs."""
        return sum(float(states[1:].float().norm(dim=-1).mean()) for states in self.hidden) / len(self.hidden)

    @property
    def size(self) -> int:
        """Bytes of states and codes."""
        tensors = chain(self.hidden, *((codes.ids, codes.values, codes.counts) for codes in self.codes))
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def save(self, path: Path, header: dict[str, Any]) -> None:
        """Write one safetensors file, a pair at a time."""
        ids = [torch.tensor([*p.prompt, *p.chosen, *p.rejected], dtype=torch.int32) for p in self.pairs]
        lengths = torch.tensor([[len(p.prompt), len(p.chosen), len(p.rejected)] for p in self.pairs], dtype=torch.int32)
        parts: dict[str, list[Tensor]] = {
            "hidden": self.hidden,
            "code_values": [codes.values for codes in self.codes],
            "reference": [self.reference],
            "ids": ids,
            "lengths": [lengths],
            "code_ids": [codes.ids.int() for codes in self.codes],
            "code_counts": [codes.counts[0].int() for codes in self.codes],
        }
        shapes = {name: (p[0].dtype, (sum(len(x) for x in p), *p[0].shape[1:])) for name, p in parts.items()}
        stream_tensors(path, shapes, parts.__getitem__, {**header, "store": asdict(self.key)})

    @classmethod
    def load(cls, path: Path, check: bool = True) -> tuple[ActivationStore, dict[str, Any]]:
        """Open a store as a memory map, with its header.

        Args:
            path: the file.
            check: whether to compare it with its digest, which reads all of it once (``yapo.seal``).

        Raises:
            YapoError: missing, damaged, or not a store.
        """
        tensors, header = load_tensors(path, check)
        missing = sorted({"store"} - header.keys()) + sorted(set(TENSORS) - tensors.keys())
        if missing:
            raise YapoError(
                f"{path}: not an activation store of this version (it lacks {', '.join(missing)}); delete it and run the stage "
                "prepare again"
            )
        try:
            return cls._of(tensors, header.pop("store")), header
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise YapoError(f"{path}: damaged ({reason}); delete it and run the stage prepare again") from None

    @classmethod
    def _of(cls, tensors: dict[str, Tensor], described: dict[str, Any]) -> ActivationStore:
        """Read the store in a file's tensors; raises an error that says which of them do not fit."""
        key = StoreKey(**described)
        if not all(isinstance(part, int if name == "layer" else str) for name, part in asdict(key).items()):
            raise ValueError(f"its key is {described}")
        for name, (dtype, ndim) in TENSORS.items():
            if tensors[name].ndim != ndim or (dtype is not None and tensors[name].dtype != dtype):
                raise ValueError(f"'{name}' is {tensors[name].dtype} with {tensors[name].ndim} dimensions")
        ids, lengths, counts = tensors["ids"].tolist(), tensors["lengths"], tensors["code_counts"]
        if lengths.shape[1] != 3 or not len(lengths) or int(lengths.min()) < 1 or int(lengths.sum()) != len(ids):
            raise ValueError(f"{len(ids)} token ids do not give {len(lengths)} pairs")
        pairs, start = list[TokenPair](), 0
        for p, c, r in lengths.tolist():
            pairs.append(
                TokenPair(ids[start : start + p], ids[start + p : start + p + c], ids[start + p + c : start + p + c + r])
            )
            start += p + c + r
        tokens = [len(pair.tokens) for pair in pairs]
        entries = int(counts.sum())
        shapes = (len(tensors["hidden"]), len(counts), len(tensors["code_ids"]), len(tensors["code_values"]))
        if shapes != (sum(tokens), sum(tokens), entries, entries) or (entries and int(counts.min()) < 0):
            raise ValueError("states, codes and tokens do not fit each other")
        reference = tensors["reference"]
        if reference.shape != (len(pairs), 2) or not bool(torch.isfinite(reference).all()):
            raise ValueError("'reference' is not two finite numbers a pair")
        by_pair = counts.split(tokens)  # type: ignore[no-untyped-call]
        sizes = [int(part.sum()) for part in by_pair]
        split = zip(tensors["code_ids"].split(sizes), tensors["code_values"].split(sizes), by_pair, strict=True)  # type: ignore[no-untyped-call]
        hidden = list(tensors["hidden"].split(tokens))  # type: ignore[no-untyped-call]
        return cls(key, pairs, hidden, [SparseCodes(ids, values, part[None]) for ids, values, part in split], reference)


def silent_sae(d_model: int) -> SAE:
    """Return an autoencoder whose one feature never fires, for the stores of methods that read none."""
    return SAE(
        W_enc=torch.zeros(d_model, 1),
        b_enc=torch.zeros(1),
        W_dec=torch.zeros(1, d_model),
        b_dec=torch.zeros(d_model),
        activation="relu",
        **dict.fromkeys(("threshold", "k", "layer", "hook_name", "model_name")),
        apply_b_dec_to_input=False,
        source="",
    )


@torch.no_grad()
def build_store(
    lm: LanguageModel,
    layer: int,
    sae: SAE,
    pairs: list[TokenPair],
    batch_size: int,
    parts: Path | None = None,
    max_bytes: float = float("inf"),
) -> ActivationStore:
    """Run the frozen model once over every pair. Pairs are batched by length; the result keeps their order.

    Args:
        lm: the model.
        layer: 0-based block whose output is kept.
        sae: encodes it; on the model's device.
        pairs: token ids.
        batch_size: pairs of one forward pass.
        parts: folder for finished parts, from which an interrupted build goes on; the caller removes it once the store is
            saved. Everything is held in memory if None.
        max_bytes: largest size allowed.

    Raises:
        YapoError: the store would be larger than ``max_bytes``; said before the model runs if its states alone are.
    """
    key = StoreKey.of(lm, layer, sae, pairs)
    sizes = [len(pair.tokens) * lm.d_model * lm.dtype.itemsize for pair in pairs]
    _check_size(sum(sizes), sizes, max_bytes)
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].tokens))
    done: list[ActivationStore] = []
    for number, rows in enumerate(_divided(order, sizes)):
        path = None if parts is None else parts / f"{number}.safetensors"
        part = _finished(path, key)
        if part is None:
            batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
            part = _joined(key, [_run(lm, layer, sae, key, [pairs[i] for i in batch]) for batch in batches])
            if path is not None:
                part.save(path, {})
                part = ActivationStore.load(path, check=False)[0]  # from here on a memory map
        done.append(part)
        _check_size(sum(store.size for store in done), sizes, max_bytes)
    whole = _joined(key, done)
    place = torch.tensor(order).argsort()
    hidden, codes = ([values[i] for i in place.tolist()] for values in (whole.hidden, whole.codes))
    return ActivationStore(key, pairs, hidden, codes, whole.reference[place])


@torch.no_grad()
def reencode(sae: SAE, store: ActivationStore) -> ActivationStore:
    """Return the store that ``build_store`` would make with another autoencoder of the same layer; no model is run.

    Args:
        sae: computes on its own device.
        store: its states and reference are shared, not copied.

    Raises:
        YapoError: the autoencoder is for another width or layer.
    """
    check_fits(sae, store.hidden[0].shape[-1], store.key.layer)
    device = sae.W_dec.device
    codes = [SparseCodes.of(sae, states[None].to(device)).to(torch.device("cpu")) for states in store.hidden]
    return replace(store, key=replace(store.key, sae=sae.digest), codes=codes)


def _run(lm: LanguageModel, layer: int, sae: SAE, key: StoreKey, pairs: list[TokenPair]) -> ActivationStore:
    batch = batch_pairs(pairs).to(lm.device)
    ids = batch.packed([torch.tensor(pair.tokens, device=lm.device) for pair in pairs])
    masks = lm.masks(batch.allowed, batch.positions, batch.positions)
    below = lm.blocks(lm.embed(ids), 0, layer + 1, batch.positions, masks)
    reference = answer_log_probs(lm, below, layer, batch).cpu()
    if not bool(torch.isfinite(reference).all()):
        raise YapoError(
            f"{lm.source}: log-probabilities of answers are not finite in {str(lm.dtype).removeprefix('torch.')}; check its "
            "weights, or set model.dtype=float32"
        )
    places = zip(pairs, batch.row.tolist(), batch.start.tolist(), strict=True)
    hidden = [below[row, start : start + len(pair.tokens)].clone() for pair, row, start in places]
    codes = [SparseCodes.of(sae, states[None]).to(torch.device("cpu")) for states in hidden]
    return ActivationStore(key, pairs, [states.cpu() for states in hidden], codes, reference)


def _told(key: dict[str, str | int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())


def _divided(order: list[int], sizes: list[int]) -> Iterator[list[int]]:
    """Yield consecutive runs of about ``PART_BYTES``."""
    part: list[int] = []
    held = 0
    for i in order:
        part.append(i)
        held += sizes[i]
        if held >= PART_BYTES:
            yield part
            part, held = [], 0
    if part:
        yield part


def _finished(path: Path | None, key: StoreKey) -> ActivationStore | None:
    """Read the part that an interrupted build of the same store left, if it did."""
    if path is None or not path.exists():
        return None
    try:
        part = ActivationStore.load(path)[0]
    except YapoError:
        return None
    return part if part.key == key else None


def _joined(key: StoreKey, stores: Sequence[ActivationStore]) -> ActivationStore:
    return ActivationStore(
        key,
        list(chain.from_iterable(store.pairs for store in stores)),
        list(chain.from_iterable(store.hidden for store in stores)),
        list(chain.from_iterable(store.codes for store in stores)),
        torch.cat([store.reference for store in stores]),
    )


def _check_size(size: int, sizes: list[int], max_bytes: float) -> None:
    if size > max_bytes:
        raise YapoError(
            f"store.max_gigabytes={max_bytes / GIGABYTE:g}: the activations of {len(sizes)} pairs take at least "
            f"{size / GIGABYTE:.3g} GB; raise it, lower model.max_prompt_tokens, or use model.dtype=bfloat16"
        )
