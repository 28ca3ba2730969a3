"""The contents of a vector's page, from the measured effects of its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cosine_similarity

from yapo.models.language_model import LanguageModel
from yapo.models.logit_lens import token_logits
from yapo.models.sae import SAE
from yapo.models.token_text import token_name, window
from yapo.reporting.names import label
from yapo.reporting.numbers import number, short
from yapo.reporting.render import DASH
from yapo.steering.activations import ActivationStore
from yapo.studies.features.cells import expected_shared
from yapo.studies.features.effects import Texts, VectorEffects, effective_number, strongest_features
from yapo.studies.features.examples import FeatureExamples, Floats, Integers
from yapo.studies.features.pages import Example, FeatureCard, MethodComparison, WeightedFeature, Words, token_share

WORDS = 8  # promoted, and as many suppressed
SHOWN = 5  # examples of each kind on a page
WIDTH = 12  # tokens on each side of an example's
SPECTRUM = (1, 10, 100)


@dataclass(frozen=True)
class SourceTexts:
    """The texts of the examples: tokens of ``texts`` belong to pairs of ``store``, on ``topics`` (one per pair)."""

    store: ActivationStore
    texts: Texts
    topics: Sequence[str]

    def topic(self, token: int) -> str:
        """Return the topic of a token's question."""
        return self.topics[int(self.texts.pair[token])]


class LogitLens:
    """Directions of the residual stream as words, by the unembedding. Words of decoder rows are kept."""

    def __init__(self, lm: LanguageModel, sae: SAE) -> None:
        self.lm, self.sae = lm, sae
        self._known: dict[int, Words] = {}

    def words(self, directions: Tensor) -> list[Words]:
        """Return the tokens promoted and suppressed by each of ``directions [n, d_model]``."""
        logits = token_logits(self.lm, directions)
        return [Words(self._names(row), self._names(-row)) for row in logits]

    def of_features(self, features: Sequence[int]) -> list[Words]:
        """Return the same for decoder rows."""
        missing = [feature for feature in features if feature not in self._known]
        if missing:
            self._known |= dict(zip(missing, self.words(self.sae.W_dec[missing]), strict=True))
        return [self._known[feature] for feature in features]

    def _names(self, logits: Tensor) -> tuple[str, ...]:
        return tuple(token_name(self.lm.tokenizer.tokenizer, token) for token in logits.topk(WORDS).indices.tolist())


def feature_cards(
    measured: VectorEffects, found: Sequence[FeatureExamples], lens: LogitLens, sources: SourceTexts
) -> tuple[FeatureCard, ...]:
    """Return the features of one vector, strongest first."""
    vector, total = measured.vector, float(measured.effect.abs().sum())
    sparse = vector.space.of_features
    cards = []
    for item, words in zip(found, lens.of_features([item.feature for item in found]), strict=True):
        effect = float(measured.effect[item.feature])
        cards.append(
            FeatureCard(
                number=item.feature,
                effect=effect,
                share=abs(effect) / total,
                weight=vector.info.multiplier * float(vector.values[item.feature]) if sparse else None,
                cosine=float(cosine_similarity(measured.change, lens.sae.W_dec[item.feature], dim=0)),
                fires=item.fires,
                fires_during=item.fires_during,
                activation=item.activation,
                kept=(
                    ("Tokens", item.kept_tokens, item.control_tokens),
                    ("topics", item.kept_topics, item.control_topics),
                    ("activation", item.kept_mass, item.control_mass),
                ),
                words=words,
                before=_examples(item.before, item.values, lens, sources),
                during=_examples(item.during, item.values_during, lens, sources),
            )
        )
    return tuple(cards)


def by_weight(measured: VectorEffects, lens: LogitLens, sources: SourceTexts, top: int) -> tuple[WeightedFeature, ...]:
    """Return the ``top`` features of a sparse vector by |λv_j · mean code|, largest first; none of a dense vector."""
    vector = measured.vector
    if not vector.space.of_features:
        return ()
    weight = vector.info.multiplier * vector.values.float().cpu()
    activation = sources.texts.mean_activation(len(weight))
    found = strongest_features(weight * activation, top).tolist()
    places = measured.effect.abs().argsort(descending=True, stable=True).argsort() + 1
    return tuple(
        WeightedFeature(f, float(weight[f]), float(activation[f]), float(measured.effect[f]), int(places[f]), words)
        for f, words in zip(found, lens.of_features(found), strict=True)
    )


def head_facts(measured: VectorEffects, texts: int) -> tuple[tuple[str, str], ...]:
    """Return labelled numbers for the head of a page; ``texts`` is the number of texts that effects were measured on."""
    info, effect = measured.vector.info, measured.effect
    ranked = effect.abs().sort(descending=True).values.cumsum(dim=0)
    touched = int((measured.vector.values != 0).sum()) if measured.vector.space.of_features else None
    steps = [(n, float(ranked[n - 1] / ranked[-1])) for n in SPECTRUM if n <= int((effect != 0).sum())]
    return (
        ("Space", "SAE features" if touched is not None else "residual stream"),
        ("Layer", str(info.layer)),
        ("λ, chosen on validation", short(info.multiplier)),
        *([("Features in the vector", f"{touched:,} of {len(effect):,}")] if touched is not None else []),
        ("Features with an effect", f"{int((effect != 0).sum()):,}"),
        ("Effective number", number(effective_number(effect), 1)),
        ("Share of the effect", ", ".join(f"top {n}: {token_share(share)}" for n, share in steps) or DASH),
        ("Length of the mean change", number(float(measured.change.norm()))),
        ("Measured on", f"{texts:,} validation texts"),
    )


def compare_methods(measured: VectorEffects, others: dict[str, VectorEffects], top: int) -> tuple[MethodComparison, ...]:
    """Return how a vector compares with those of the other methods for the same questions."""
    found = []
    for method, other in others.items():
        found.append(
            MethodComparison(
                method=label("method", method),
                cosine=float(cosine_similarity(measured.change, other.change, dim=0)),
                shared=len(set(measured.top.tolist()) & set(other.top.tolist())),
                of=min(top, len(measured.top), len(other.top)),
                expected=expected_shared(len(measured.top), len(other.top), len(measured.effect)),
            )
        )
    return tuple(found)


def _examples(tokens: Integers, values: Floats, lens: LogitLens, sources: SourceTexts) -> tuple[Example, ...]:
    found = []
    for token, value in list(zip(tokens.tolist(), values.tolist(), strict=True))[:SHOWN]:
        pair = sources.store.pairs[int(sources.texts.pair[token])]
        shown = window(lens.lm.tokenizer.tokenizer, pair.prompt + pair.chosen, int(sources.texts.place[token]), WIDTH)
        found.append(Example(value, sources.topic(token), shown))
    return tuple(found)
