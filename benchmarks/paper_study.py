"""A study in numbers: the shapes of its model and autoencoder, its data, and what its configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass

from yapo.config import Config

TRAINED = ("bipo", "yapo")  # methods with epochs; the others are closed forms
SPARSE = ("sas", "yapo", "dspa")


@dataclass(frozen=True)
class Model:
    """Shape of a decoder-only model.

    Attributes:
        norms: RMS norms of a block, those of single heads left out.
        scores_kept: whether the backward pass needs attention's scores (our soft-capped attention keeps two tensors of them).
        itemsize: bytes of a number.
    """

    layers: int
    d_model: int
    d_ff: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    norms: int
    scores_kept: bool
    itemsize: int = 2

    @property
    def block(self) -> int:
        """Weights of one block, norms left out."""
        attention = 2 * self.d_model * self.head_dim * (self.heads + self.kv_heads)
        return attention + 3 * self.d_model * self.d_ff

    @property
    def head(self) -> int:
        """Weights of the head."""
        return self.vocabulary * self.d_model

    @property
    def parameters(self) -> int:
        """Number of weights, without the norms."""
        return self.layers * self.block + self.head * (1 if self.tied else 2)

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return self.parameters * self.itemsize

    def upper_bytes(self, layer: int) -> int:
        """Of what training loads: the blocks above ``layer``, embedding and head."""
        return self.bytes - (layer + 1) * self.block * self.itemsize

    @property
    def cache(self) -> int:
        """Bytes of keys and values of one token, all blocks."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.itemsize


@dataclass(frozen=True)
class Sae:
    """Features, and how many fire on a token."""

    d_sae: int
    l0: float

    def bytes(self, d_model: int) -> int:
        """Encoder and decoder, float32."""
        return 8 * self.d_sae * d_model


@dataclass(frozen=True)
class Lengths:
    """Tokens of a task: prompt, both answers of a pair, a completion, the longest of a batch of completions."""

    prompt: float
    chosen: float
    rejected: float
    written: float
    longest: float

    @property
    def pair(self) -> float:
        """Tokens that are run: ``yapo.steering.pair_batch.Pair.tokens``."""
        return self.prompt + self.chosen + self.rejected - 2

    @property
    def read(self) -> float:
        """Tokens that predict an answer."""
        return self.chosen + self.rejected - 1

    @property
    def answers(self) -> float:
        """Tokens predicted."""
        return self.chosen + self.rejected


@dataclass(frozen=True)
class Study:
    """An experiment.

    Attributes:
        items: of a country, both variants; ``shares`` of train, validation and test.
        saes: autoencoders to fetch; DSPA reads one layer and edits another.
        epochs: of each method, 1 for a closed form.
        per_pass: rows of a forward pass without gradient, and ``train_rows`` pairs of one with.
    """

    name: str
    model: Model
    sae: Sae
    layer: int
    items: float
    lengths: dict[str, Lengths]
    countries: int
    discovered: int
    saes: int
    shares: tuple[float, float, float]
    epochs: dict[str, int]
    settings: int
    multipliers: int
    discovery_multipliers: int
    batch: int
    per_pass: int
    train_rows: int
    longest_prompt: int
    limits: dict[str, int]

    @classmethod
    def of(
        cls,
        name: str,
        config: Config,
        model: Model,
        sae: Sae,
        layer: int,
        items: float,
        countries: int,
        lengths: dict[str, Lengths],
    ) -> Study:
        """Return the study of a composed configuration."""
        train, validation = config.split.train, config.split.validation
        return cls(
            name=name,
            model=model,
            sae=sae,
            layer=layer,
            items=items,
            lengths={task: lengths[task] for task in config.tasks},
            countries=countries,
            discovered=len(config.discovery.countries),
            saes=(1 if config.discovery.layer is not None else len(config.discovery.candidates)) + 2 * ("dspa" in config.methods),
            shares=(train, validation, 1 - train - validation),
            epochs={method: config.train.epochs if method in TRAINED else 1 for method in config.methods},
            settings=len(config.settings),
            multipliers=len(config.selection.multipliers),
            discovery_multipliers=len(config.discovery.multipliers),
            batch=config.train.batch_size,
            per_pass=config.model.batch_size,
            train_rows=config.train.rows_per_pass,
            longest_prompt=config.model.max_prompt_tokens,
            limits={task: config.generation.max_new_tokens(task) for task in config.tasks},
        )

    def share(self, split: int) -> float:
        """Items of a split (0 train, 1 validation, 2 test)."""
        return self.items * self.shares[split]

    @property
    def asked(self) -> float:
        """Of the items of a split, how many all settings together ask, over the items: "both" asks all, the others half each."""
        return 2.0 if self.settings == 3 else self.settings / 2

    @property
    def pairs(self) -> float:
        """In one store."""
        return self.share(0) + self.share(1)
