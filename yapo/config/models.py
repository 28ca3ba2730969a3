"""Settings of the language model and its autoencoders."""

from __future__ import annotations

from dataclasses import dataclass, field

from yapo.checks import Attention, Dtype, check_seed, check_words, require


@dataclass
class ModelConfig:
    """The language model: a local folder or hub id in Hugging Face format."""

    path: str = "world/model"
    revision: str = "main"  # of a hub id: branch, tag or commit
    dtype: Dtype = "float32"
    attention: Attention = "auto"  # auto: the fastest exact one | eager: the library's own code alone
    batch_size: int = 256  # rows of one forward pass without gradient
    max_prompt_tokens: int = 512

    def __post_init__(self) -> None:
        check_words("model", self)
        require(self.batch_size > 0, "model.batch_size", self.batch_size, "at least 1")
        require(self.max_prompt_tokens > 0, "model.max_prompt_tokens", self.max_prompt_tokens, "at least 1")


@dataclass
class SaeTrainConfig:
    """An autoencoder trained on this model's own states: its shape and schedule; see ``yapo.models.sae_training``."""

    width: int = 4096  # features
    k: int = 32  # features kept per token, on average over a batch
    steps: int = 4000
    batch_size: int = 2048  # tokens of one step
    lr: float = 2e-3  # peak of Adam's, for states scaled to norm sqrt(d_model)
    warmup_steps: int = 100  # linear
    decay_steps: int = 3000  # the last ones, over which the learning rate falls linearly to zero
    dead_after: int = 100  # steps without firing after which a feature is trained to explain what the others leave
    max_tokens: int = 1_000_000  # states kept on disk, 4 * d_model bytes each; texts are drawn until that many are reached
    seed: int = 0

    def __post_init__(self) -> None:
        for key, count in (
            ("width", self.width),
            ("k", self.k),
            ("steps", self.steps),
            ("batch_size", self.batch_size),
            ("dead_after", self.dead_after),
        ):
            require(count > 0, f"sae.train.{key}", count, "at least 1")
        require(self.k <= self.width, "sae.train.k", self.k, f"at most sae.train.width={self.width}")
        require(self.lr > 0, "sae.train.lr", self.lr, "a positive learning rate")
        for key, count in (("warmup_steps", self.warmup_steps), ("decay_steps", self.decay_steps)):
            require(count >= 0, f"sae.train.{key}", count, "0 or more")
        used = self.warmup_steps + self.decay_steps
        require(used <= self.steps, "sae.train.steps", self.steps, f"warmup_steps and decay_steps take {used} of them")
        enough = self.max_tokens >= self.batch_size
        require(enough, "sae.train.max_tokens", self.max_tokens, f"at least sae.train.batch_size={self.batch_size}")
        check_seed("sae.train.seed", self.seed)


@dataclass
class SaeConfig:
    """The sparse autoencoder of each layer: files here (``path``), a release of the hub, or one that the study trains.

    LAYER stands for the number of the layer.
    """

    path: str = "world/sae/layer_LAYER"  # a SAELens folder or a Gemma Scope npz file
    release: str = ""  # instead of a path: a name in SAELens' list of pretrained autoencoders ...
    id: str = ""  # ... and one of the release's ids, such as layer_LAYER/width_65k/average_l0_68
    ids: dict[int, str] = field(default_factory=dict)  # of layers whose id in the release does not follow from ``id``
    trained: bool = False  # instead of both: the study trains one for each candidate layer (sae=train) ...
    train: SaeTrainConfig = field(default_factory=SaeTrainConfig)  # ... in this way
    layers: list[int] = field(default_factory=list)  # layers that the stage train_sae trains; empty: all that may be needed
    min_explained_variance: float = 0.5  # of this model's states; an autoencoder that explains less is refused

    def __post_init__(self) -> None:
        require(not (self.path and self.release), "sae.release", self.release, "give it or sae.path, not both (sae.path='')")
        given = self.path or self.release
        require(not (self.trained and given), "sae.path", given, "leave it and sae.release empty with sae.trained")
        found = bool(given) or self.trained
        require(found, "sae.path", self.path, "give a path, or sae.release and sae.id, or choose sae=train")
        read = self.trained or self.train == SaeTrainConfig()
        require(read, "sae.train", "...", "is read by sae=train only; choose that, or leave it out")
        require(bool(self.release) == bool(self.id), "sae.id", self.id, "goes together with sae.release")
        low = self.min_explained_variance
        require(low < 1, "sae.min_explained_variance", low, "below 1, the value of a perfect reconstruction")
