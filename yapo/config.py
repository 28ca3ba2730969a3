"""Every setting of a study, with its type, default and meaning. Values come from ``conf/`` (one folder per group).

The library takes these plain dataclasses; only the stages know that Hydra fills them in. Nothing heavy is imported here,
so a wrong key or an impossible value is refused before any model loads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yapo.errors import YapoError

TASKS = ("mcq", "open_ended")
SETTINGS = ("localized", "nonlocalized", "both")
VARIANTS = ("localized", "nonlocalized")
SPLITS = ("train", "validation", "test")


def _require(condition: bool, key: str, value: object, rule: str) -> None:
    if not condition:
        raise YapoError(f"{key}={value}: {rule}")


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    _require(value in allowed, key, value, f"choose one of {', '.join(allowed)}")


def _seed(key: str, value: int) -> None:
    _require(value >= 0, key, value, "0 or more")


def _template(key: str, template: str, **values: str) -> str:
    """Fill a template; every field must stand in it, and no other."""
    names = ", ".join("{" + name + "}" for name in values)
    try:
        filled = template.format(**values)
    except (KeyError, IndexError, ValueError):
        raise YapoError(f"{key}={template}: fill in {names} and nothing else; other braces are doubled") from None
    _require(all("{" + name + "}" in template for name in values), key, template, f"must contain {names}")
    return filled


@dataclass
class DataConfig:
    """Where items come from."""

    source: str = "atlas"  # atlas | table | deep_culture_lense
    path: str = ""  # table: a parquet, csv or jsonl file in the items schema; deep_culture_lense: a folder or a hub id
    revision: str = ""  # deep_culture_lense on the hub: commit, branch or tag; empty is the newest
    max_dropped: float = 0.05  # deep_culture_lense: share of a country's rows that may be lost before the data are refused
    seed: int = 0  # order of the options

    def __post_init__(self) -> None:
        _one_of("data.source", self.source, ("atlas", "table", "deep_culture_lense"))
        _seed("data.seed", self.seed)
        _require(0 <= self.max_dropped < 1, "data.max_dropped", self.max_dropped, "a share from 0, below 1")
        needs = {"table": "a table source needs a file", "deep_culture_lense": "needs a folder with a copy, or a hub id"}
        _require(self.source not in needs or bool(self.path), "data.path", self.path, needs.get(self.source, ""))


@dataclass
class PromptConfig:
    """Templates; see ``yapo.data.prompts``."""

    mcq: str = "{options}\n{question}"
    option: str = "{k}) {option}"
    open_ended: str = "{question}"
    boxed: str = "\\boxed{{{k}}}"

    def __post_init__(self) -> None:
        _template("prompts.mcq", self.mcq, question="Q", options="O")
        _template("prompts.option", self.option, k="1", option="O")
        _template("prompts.open_ended", self.open_ended, question="Q")
        filled = _template("prompts.boxed", self.boxed, k="1")
        _require("\\boxed{1}" in filled, "prompts.boxed", self.boxed, "must write \\boxed{1} for k=1, which evaluation reads")


@dataclass
class SplitConfig:
    """Shares of the facts; what is left after train and validation is test."""

    seed: int = 0
    train: float = 0.5
    validation: float = 0.2

    def __post_init__(self) -> None:
        _seed("split.seed", self.seed)
        _require(0 < self.train < 1, "split.train", self.train, "a share between 0 and 1")
        _require(0 < self.validation < 1, "split.validation", self.validation, "a share between 0 and 1")
        _require(self.train + self.validation < 1, "split", self.train + self.validation, "nothing is left for test")


@dataclass
class ModelConfig:
    """The language model: a local folder or hub id in Hugging Face format."""

    path: str = "world/model"
    revision: str = "main"  # of a hub id: branch, tag or commit
    dtype: str = "float32"
    attention: str = "auto"  # auto: the fastest exact one | eager: the library's own code alone
    batch_size: int = 256  # rows of one forward pass without gradient
    max_prompt_tokens: int = 512

    def __post_init__(self) -> None:
        _one_of("model.dtype", self.dtype, ("float32", "bfloat16", "float16"))
        _one_of("model.attention", self.attention, ("auto", "eager"))
        _require(self.batch_size > 0, "model.batch_size", self.batch_size, "at least 1")
        _require(self.max_prompt_tokens > 0, "model.max_prompt_tokens", self.max_prompt_tokens, "at least 1")


@dataclass
class StoreConfig:
    """What the preparation of a country keeps for training: residual stream, sparse codes, reference log-probabilities."""

    max_gigabytes: float = 100.0  # of one country and task; preparation that would need more stops before it starts

    def __post_init__(self) -> None:
        _require(self.max_gigabytes > 0, "store.max_gigabytes", self.max_gigabytes, "a positive size")


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
            _require(count > 0, f"sae.train.{key}", count, "at least 1")
        _require(self.k <= self.width, "sae.train.k", self.k, f"at most sae.train.width={self.width}")
        _require(self.lr > 0, "sae.train.lr", self.lr, "a positive learning rate")
        for key, count in (("warmup_steps", self.warmup_steps), ("decay_steps", self.decay_steps)):
            _require(count >= 0, f"sae.train.{key}", count, "0 or more")
        used = self.warmup_steps + self.decay_steps
        _require(used <= self.steps, "sae.train.steps", self.steps, f"warmup_steps and decay_steps take {used} of them")
        enough = self.max_tokens >= self.batch_size
        _require(enough, "sae.train.max_tokens", self.max_tokens, f"at least sae.train.batch_size={self.batch_size}")
        _seed("sae.train.seed", self.seed)


@dataclass
class SaeConfig:
    """The sparse autoencoder of each layer: files here (``path``), a release of the hub, or one that the study trains.

    LAYER stands for the number of the layer.
    """

    path: str = "world/sae/layer_LAYER"  # a SAELens folder or a Gemma Scope npz file
    release: str = ""  # instead of a path: a name in SAELens' list of pretrained autoencoders ...
    id: str = ""  # ... and one of the release's ids, such as layer_LAYER/width_65k/average_l0_68
    trained: bool = False  # instead of both: the study trains one for each candidate layer (sae=train) ...
    train: SaeTrainConfig = field(default_factory=SaeTrainConfig)  # ... in this way
    min_explained_variance: float = 0.5  # of this model's states; an autoencoder that explains less is refused

    def __post_init__(self) -> None:
        _require(not (self.path and self.release), "sae.release", self.release, "give it or sae.path, not both (sae.path='')")
        given = self.path or self.release
        _require(not (self.trained and given), "sae.path", given, "leave it and sae.release empty with sae.trained")
        found = bool(given) or self.trained
        _require(found, "sae.path", self.path, "give a path, or sae.release and sae.id, or choose sae=train")
        read = self.trained or self.train == SaeTrainConfig()
        _require(read, "sae.train", "...", "is read by sae=train only; choose that, or leave it out")
        _require(bool(self.release) == bool(self.id), "sae.id", self.id, "goes together with sae.release")
        low = self.min_explained_variance
        _require(low < 1, "sae.min_explained_variance", low, "below 1, the value of a perfect reconstruction")


@dataclass
class DiscoveryConfig:
    """Layer discovery: both curves, and which one decides."""

    select: str = "steerability"  # patching | steerability
    layer: int | None = None  # fixes the layer
    candidates: list[int] = field(default_factory=lambda: [1, 2, 3])  # layers that have an SAE
    countries: list[str] = field(
        default_factory=lambda: ["egypt", "morocco", "mexico", "nepal"]
    )  # may be empty for a fixed layer
    multipliers: list[float] = field(default_factory=lambda: [1.0, 2.0])

    def __post_init__(self) -> None:
        _one_of("discovery.select", self.select, ("patching", "steerability"))
        _require(bool(self.candidates), "discovery.candidates", self.candidates, "name at least one layer")
        _require(min(self.candidates) >= 0, "discovery.candidates", self.candidates, "layers count from 0")
        _require(self.layer is None or self.layer >= 0, "discovery.layer", self.layer, "layers count from 0; null searches")
        searched = self.layer is None
        _require(bool(self.countries) or not searched, "discovery.countries", self.countries, "name one, or fix discovery.layer")
        _require(bool(self.multipliers), "discovery.multipliers", self.multipliers, "give at least one")


@dataclass
class GenerationConfig:
    """Greedy decoding, the same for every method and the baseline."""

    max_new_tokens_mcq: int = 8
    max_new_tokens_open_ended: int = 24

    def __post_init__(self) -> None:
        _require(self.max_new_tokens_mcq > 0, "generation.max_new_tokens_mcq", self.max_new_tokens_mcq, "at least 1")
        _require(
            self.max_new_tokens_open_ended > 0,
            "generation.max_new_tokens_open_ended",
            self.max_new_tokens_open_ended,
            "at least 1",
        )

    def max_new_tokens(self, task: str) -> int:
        """Limit of one completion."""
        return self.max_new_tokens_mcq if task == "mcq" else self.max_new_tokens_open_ended


@dataclass
class MethodConfig:
    """A steering method and the settings only it reads (``options``)."""

    name: str = "yapo"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainConfig:
    """Preference training (BiPO, YaPO)."""

    lr: float = 5e-4
    epochs: int = 20
    batch_size: int = 4
    beta: float = 0.1
    warmup_steps: int = 100
    weight_decay: float = 0.05
    grad_clip: float = 1.0
    seed: int = 0
    steer_bos: bool = False
    rows_per_pass: int = 64  # pairs in one forward pass, of all vectors together; more is faster, up to the device's memory

    def __post_init__(self) -> None:
        _require(self.lr > 0, "train.lr", self.lr, "a positive learning rate")
        _require(self.epochs > 0, "train.epochs", self.epochs, "at least 1")
        _require(self.batch_size > 0, "train.batch_size", self.batch_size, "at least 1")
        _require(self.rows_per_pass > 0, "train.rows_per_pass", self.rows_per_pass, "at least 1")
        _require(self.beta > 0, "train.beta", self.beta, "a positive number")
        _require(self.warmup_steps >= 0, "train.warmup_steps", self.warmup_steps, "0 or more")
        _require(self.weight_decay >= 0, "train.weight_decay", self.weight_decay, "0 or more")
        _require(self.grad_clip > 0, "train.grad_clip", self.grad_clip, "a positive norm")
        _seed("train.seed", self.seed)


@dataclass
class SelectionConfig:
    """The grid that validation chooses from. Only positive multipliers can be chosen; the others draw the λ curve."""

    multipliers: list[float] = field(default_factory=lambda: [-1.0, 0.5, 1.0, 1.5, 2.0])

    def __post_init__(self) -> None:
        _require(1.0 in self.multipliers, "selection.multipliers", self.multipliers, "must contain 1.0")


# How a judge's replies are fetched, kept and priced. No score depends on these, so changing them should rerun nothing.
JUDGE_MEANS = (
    "api_key_env",
    "concurrency",
    "batch_size",
    "timeout_s",
    "max_retries",
    "backoff_s",
    "max_wait_s",
    "cache",
    "price_input",
    "price_output",
)


@dataclass
class PortableConfig:
    """Free-standing vectors: how far a sparse one is pruned."""

    top_k: list[int] = field(default_factory=lambda: [16, 64, 256, 1024])  # sizes tried on validation
    tolerance: float = 0.02  # loss of validation score, as a share of its range, that a smaller vector may cost

    def __post_init__(self) -> None:
        _require(bool(self.top_k), "portable.top_k", self.top_k, "give at least one size")
        _require(min(self.top_k, default=0) > 0, "portable.top_k", self.top_k, "at least 1 feature")
        _require(0 <= self.tolerance <= 1, "portable.tolerance", self.tolerance, "a share between 0 and 1")


@dataclass
class JudgeConfig:
    """Who scores open-ended answers; what the keys after ``name`` mean to the judges that read them: docs/judges.md."""

    name: str = "offline"  # offline | openai (any endpoint that speaks its protocol) | local (a Hugging Face model)
    model: str = ""  # openai: the endpoint's name for it; local: a folder or hub id
    max_tokens: int = 400  # longest reply
    base_url: str = "https://api.openai.com/v1"  # openai
    response_format: str = "json_schema"  # openai: json_schema | json_object | text, the most the endpoint can do
    system_turn: bool = True  # openai: false where the model knows no system role (Gemma 2): the user's turn holds all
    parameters: dict[str, Any] = field(default_factory=lambda: {"temperature": 0.0, "seed": 0})  # openai: sent as they are
    dtype: str = "float32"  # local
    api_key_env: str = "OPENAI_API_KEY"  # openai: the variable that holds the key; empty: the endpoint asks for none
    concurrency: int = 8  # openai: requests under way at once, in one job
    batch_size: int = 8  # local: answers of one forward pass
    timeout_s: float = 60.0  # openai: longest wait for one reply
    max_retries: int = 8  # openai: after 429, 5xx, a timeout or a cut connection
    backoff_s: float = 1.0  # openai: first wait before a retry; doubles each time
    max_wait_s: float = 120.0  # openai: longest wait; an endpoint that asks for more stops the run
    cache: str = "results/judgements"  # shared by all studies and jobs
    price_input: float | None = None  # openai: of a million tokens, for the report; null: unknown
    price_output: float | None = None

    def __post_init__(self) -> None:
        _one_of("judge.name", self.name, ("offline", "openai", "local"))
        _require(self.name == "offline" or bool(self.model), "judge.model", self.model, f"name the model of judge {self.name}")
        _require(self.max_tokens > 0, "judge.max_tokens", self.max_tokens, "at least 1")
        _require(self.base_url.startswith(("http://", "https://")), "judge.base_url", self.base_url, "must begin with http(s)://")
        _require("@" not in self.base_url and "?" not in self.base_url, "judge.base_url", "...", "no user, password or query")
        _one_of("judge.response_format", self.response_format, ("json_schema", "json_object", "text"))
        _one_of("judge.dtype", self.dtype, ("float32", "bfloat16", "float16"))
        for key, count in (("concurrency", self.concurrency), ("batch_size", self.batch_size)):
            _require(count > 0, f"judge.{key}", count, "at least 1")
        for key, seconds in (("timeout_s", self.timeout_s), ("backoff_s", self.backoff_s), ("max_wait_s", self.max_wait_s)):
            _require(seconds > 0, f"judge.{key}", seconds, "a positive number of seconds")
        _require(self.max_retries >= 0, "judge.max_retries", self.max_retries, "0 or more")
        for key, price in (("price_input", self.price_input), ("price_output", self.price_output)):
            _require(price is None or price >= 0, f"judge.{key}", price, "0 or more, or null")


@dataclass
class KnowledgeConfig:
    """General knowledge before and after steering, by lm-eval; see docs/knowledge.md."""

    tasks: list[str] = field(default_factory=lambda: ["culture_mcq", "culture_open_ended"])  # lm-eval's names, and our own
    vector_task: str = "open_ended"  # which of each method's vectors
    vector_setting: str = "both"
    num_fewshot: int | None = None  # examples in each prompt; null: what each task says
    chat_template: bool = True
    limit: int | None = None  # the first questions of each task only; null: all
    batch_size: int = 64
    seed: int = 0  # which examples, for tasks that draw them

    def __post_init__(self) -> None:
        _require(bool(self.tasks), "knowledge.tasks", self.tasks, "name at least one")
        _require(len(set(self.tasks)) == len(self.tasks), "knowledge.tasks", self.tasks, "name each once")
        _one_of("knowledge.vector_task", self.vector_task, TASKS)
        _one_of("knowledge.vector_setting", self.vector_setting, SETTINGS)
        shots = self.num_fewshot
        _require(shots is None or shots >= 0, "knowledge.num_fewshot", shots, "0 or more, or null")
        _require(self.limit is None or self.limit > 0, "knowledge.limit", self.limit, "at least 1, or null")
        _require(self.batch_size > 0, "knowledge.batch_size", self.batch_size, "at least 1")
        _seed("knowledge.seed", self.seed)


@dataclass
class ReportConfig:
    """Tables and figures."""

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        _require(self.resamples >= 100, "report.resamples", self.resamples, "at least 100")
        _seed("report.seed", self.seed)
        _require(0 < self.confidence < 1, "report.confidence", self.confidence, "between 0 and 1")


@dataclass
class Config:
    """One study. ``country`` and ``method`` matter to the stages that work on one of each."""

    experiment: str = "embedded"
    results: str = "results"
    country: str = "egypt"
    countries: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["caa", "sas", "bipo", "yapo"])
    tasks: list[str] = field(default_factory=lambda: list(TASKS))
    settings: list[str] = field(default_factory=lambda: list(SETTINGS))
    threads: int = 1
    keep_activations: bool = True  # False deletes a country's activations once its vectors are trained
    data: DataConfig = field(default_factory=DataConfig)
    prompts: PromptConfig = field(default_factory=PromptConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    sae: SaeConfig = field(default_factory=SaeConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    learning_rate: dict[str, float] = field(default_factory=dict)  # by method, where an experiment tuned them; see train.lr
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    portable: PortableConfig = field(default_factory=PortableConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    knowledge: KnowledgeConfig = field(default_factory=KnowledgeConfig)
    report: ReportConfig = field(default_factory=ReportConfig)

    def __post_init__(self) -> None:
        for key, values in (("methods", self.methods), ("tasks", self.tasks), ("settings", self.settings)):
            _require(bool(values), key, values, "name at least one")
            _require(len(set(values)) == len(values), key, values, "name each once")
        _require(self.threads > 0, "threads", self.threads, "at least 1")
        for task in self.tasks:
            _one_of("tasks", task, TASKS)
        for setting in self.settings:
            _one_of("settings", setting, SETTINGS)

    @property
    def study(self) -> Path:
        """The folder that holds everything this study writes."""
        return Path(self.results) / self.experiment
