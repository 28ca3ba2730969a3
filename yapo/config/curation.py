"""Settings of curation: making a benchmark from seed questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from yapo.checks import Role, check_path, check_seed, check_words, distinct, require
from yapo.config.data import Licence

# Licences under which no model may be trained on the questions or what was made of them.
NOT_FOR_TRAINING: tuple[Licence, ...] = ("cc-by-nd-4.0", "cc-by-nc-nd-4.0", "evaluation-only")
Step = Literal["answers", "existence", "choices", "duplicates", "variants"]


@dataclass
class DuplicatesConfig:
    """Near-duplicates, by cosine similarity of embeddings."""

    embedding: Literal["ngrams", "model"] = "ngrams"  # character n-grams; or a sentence-embedding model
    model: str = ""  # model: a folder, or a hub id that the cache holds
    batch_size: int = 64  # model: texts of one forward pass
    threshold: float = 0.9  # from here on two texts count as the same, unless the review says otherwise
    review_from: float = 0.7  # from here on a pair stands in the file for review
    review: str = ""  # a copy of that file with decisions; empty: none was made

    def __post_init__(self) -> None:
        check_words("curation.duplicates", self)
        needed = self.embedding != "model" or bool(self.model)
        require(needed, "curation.duplicates.model", self.model, "name the folder of a sentence-embedding model")
        require(self.batch_size > 0, "curation.duplicates.batch_size", self.batch_size, "at least 1")
        require(0 < self.threshold <= 1, "curation.duplicates.threshold", self.threshold, "above 0, at most 1")
        least = 0 < self.review_from <= self.threshold
        require(least, "curation.duplicates.review_from", self.review_from, "above 0, at most curation.duplicates.threshold")
        check_path("curation.duplicates.model", self.model)
        check_path("curation.duplicates.review", self.review)


@dataclass
class CurationConfig:
    """A benchmark made from seed questions; docs/make-a-benchmark.md explains the steps."""

    title: str = "Questions of the embedded world"  # of the data set's card
    seeds: str = "world/curation/seeds.csv"  # a csv or yaml file: id, language, topic, text with {country}
    places: str = "world/curation/places.yaml"  # languages and countries: how each is named, and what gives it away
    topics: str = "world/atlas/topics.yaml"  # topics by category
    countries: list[str] = field(default_factory=list)  # empty: all of each seed question's language
    recording: str = "world/curation/session.jsonl"  # replies to replay; empty: the model of `judge` is asked
    max_repeats: int = 3  # questions to which a country may give the same answer
    min_options: int = 3  # of a question: answer, control and others
    seed: int = 0  # order of the options
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    licence: Licence = "apache-2.0"
    role: Role = "train"  # test: the package has a test split alone
    examples: int = 3  # of each reason, in the report

    def __post_init__(self) -> None:
        check_words("curation", self)
        require(bool(self.title.strip()) and self.title.isprintable(), "curation.title", self.title, "give one line of text")
        require(bool(self.seeds), "curation.seeds", self.seeds, "name a file of seed questions")
        for key, path in (
            ("seeds", self.seeds),
            ("places", self.places),
            ("topics", self.topics),
            ("recording", self.recording),
        ):
            check_path(f"curation.{key}", path)
        distinct("curation.countries", self.countries)
        require(self.max_repeats > 0, "curation.max_repeats", self.max_repeats, "at least 1")
        require(self.min_options >= 2, "curation.min_options", self.min_options, "at least 2")
        check_seed("curation.seed", self.seed)
        require(self.examples >= 0, "curation.examples", self.examples, "0 or more")
        allowed = ", ".join(name for name in get_args(Licence) if name not in NOT_FOR_TRAINING)
        require(
            self.role != "train" or self.licence not in NOT_FOR_TRAINING,
            "curation.licence",
            self.licence,
            f"forbids training; set curation.role=test, or give one of {allowed}",
        )
