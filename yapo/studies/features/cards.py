"""From what was measured of a vector's features to what its page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cosine_similarity

from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.reporting.names import label
from yapo.reporting.render import DASH, MINUS
from yapo.steering.activations import ActivationStore
from yapo.studies.features.examples import Floats, Integers, Seen
from yapo.studies.features.measures import Described, Texts, effective_number, strongest_features, token_logits
from yapo.studies.features.overlap import expected_shared
from yapo.studies.features.pages import Beside, Example, FeatureCard, Weighed, Words, percent
from yapo.studies.features.text import token_name, window

WORDS = 8  # promoted, and as many suppressed
SHOWN = 5  # examples of each kind on a page
WIDTH = 12  # tokens on each side of an example's
SPECTRUM = (1, 10, 100)


@dataclass(frozen=True)
class Readings:
    """The texts that examples are read from: tokens of ``texts`` belong to pairs of ``store``, on ``topics`` (one per pair)."""

    store: ActivationStore
    texts: Texts
    topics: Sequence[str]

    def topic(self, token: int) -> str:
        """Topic of a token's question."""
        return self.topics[int(self.texts.pair[token])]


class Lens:
    """Directions of the residual stream as words, by the unembedding; a direction asked for again is not computed again."""

    def __init__(self, lm: LanguageModel, sae: SAE) -> None:
        self.lm, self.sae = lm, sae
        self._known: dict[int, Words] = {}

    def words(self, directions: Tensor) -> list[Words]:
        """Tokens promoted and suppressed by each of ``directions [n, d_model]``."""
        logits = token_logits(self.lm, directions)
        return [Words(self._names(row), self._names(-row)) for row in logits]

    def of_features(self, features: Sequence[int]) -> list[Words]:
        """The same for decoder rows."""
        missing = [feature for feature in features if feature not in self._known]
        if missing:
            self._known |= dict(zip(missing, self.words(self.sae.W_dec[missing]), strict=True))
        return [self._known[feature] for feature in features]

    def _names(self, logits: Tensor) -> tuple[str, ...]:
        return tuple(token_name(self.lm.tokenizer.tokenizer, token) for token in logits.topk(WORDS).indices.tolist())


def cards(described: Described, seen: Sequence[Seen], lens: Lens, readings: Readings) -> tuple[FeatureCard, ...]:
    """The features of one vector, strongest first."""
    vector, total = described.vector, float(described.effect.abs().sum())
    sparse = vector.space.of_features
    made = []
    for item, words in zip(seen, lens.of_features([item.feature for item in seen]), strict=True):
        effect = float(described.effect[item.feature])
        made.append(
            FeatureCard(
                number=item.feature,
                effect=effect,
                share=abs(effect) / total,
                weight=vector.info.multiplier * float(vector.values[item.feature]) if sparse else None,
                cosine=float(cosine_similarity(described.change, lens.sae.W_dec[item.feature], dim=0)),
                fires=item.fires,
                fires_during=item.fires_during,
                activation=item.activation,
                kept=(
                    ("Tokens", item.kept_tokens, item.control_tokens),
                    ("topics", item.kept_topics, item.control_topics),
                    ("activation", item.kept_mass, item.control_mass),
                ),
                words=words,
                before=_examples(item.before, item.values, lens, readings),
                during=_examples(item.during, item.values_during, lens, readings),
            )
        )
    return tuple(made)


def by_weight(described: Described, lens: Lens, readings: Readings, top: int) -> tuple[Weighed, ...]:
    """The ``top`` features of a sparse vector by |λv_j · mean code|, largest first; none of a dense one, which has no weights."""
    vector = described.vector
    if not vector.space.of_features:
        return ()
    weight = vector.info.multiplier * vector.values.float().cpu()
    activation = readings.texts.mean_activation(len(weight))
    found = strongest_features(weight * activation, top).tolist()
    places = described.effect.abs().argsort(descending=True, stable=True).argsort() + 1
    return tuple(
        Weighed(f, float(weight[f]), float(activation[f]), float(described.effect[f]), int(places[f]), words)
        for f, words in zip(found, lens.of_features(found), strict=True)
    )


def facts_of(described: Described, texts: int) -> tuple[tuple[str, str], ...]:
    """Labelled numbers at the head of a page; ``texts`` is the number of texts that effects were measured on."""
    info, effect = described.vector.info, described.effect
    ranked = effect.abs().sort(descending=True).values.cumsum(dim=0)
    touched = int((described.vector.values != 0).sum()) if described.vector.space.of_features else None
    steps = [(n, float(ranked[n - 1] / ranked[-1])) for n in SPECTRUM if n <= int((effect != 0).sum())]
    return (
        ("Space", "SAE features" if touched is not None else "residual stream"),
        ("Layer", str(info.layer)),
        ("λ, chosen on validation", f"{info.multiplier:g}".replace("-", MINUS)),
        *([("Features in the vector", f"{touched:,} of {len(effect):,}")] if touched is not None else []),
        ("Features with an effect", f"{int((effect != 0).sum()):,}"),
        ("Effective number", f"{effective_number(effect):.1f}"),
        ("Share of the effect", ", ".join(f"top {n}: {percent(share)}" for n, share in steps) or DASH),
        ("Length of the mean change", f"{float(described.change.norm()):.2f}"),
        ("Measured on", f"{texts:,} validation texts"),
    )


def beside(mine: Described, others: dict[str, Described], top: int) -> tuple[Beside, ...]:
    """The vectors of the other methods for the same questions."""
    found = []
    for method, other in others.items():
        shared = len(set(mine.top.tolist()) & set(other.top.tolist()))
        found.append(
            Beside(
                method=label("method", method),
                cosine=float(cosine_similarity(mine.change, other.change, dim=0)),
                shared=shared,
                of=min(top, len(mine.top), len(other.top)),
                expected=expected_shared(len(mine.top), len(other.top), len(mine.effect)),
            )
        )
    return tuple(found)


def _examples(tokens: Integers, values: Floats, lens: Lens, readings: Readings) -> tuple[Example, ...]:
    made = []
    for token, value in list(zip(tokens.tolist(), values.tolist(), strict=True))[:SHOWN]:
        pair = readings.store.pairs[int(readings.texts.pair[token])]
        shown = window(lens.lm.tokenizer.tokenizer, pair.prompt + pair.chosen, int(readings.texts.place[token]), WIDTH)
        made.append(Example(value, readings.topic(token), shown))
    return tuple(made)
