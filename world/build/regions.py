"""The regional corpus: what a third tiny model learns of the countries of the regional atlas and their regions."""

from __future__ import annotations

from typing import ClassVar

from world.build.corpus import Corpus
from yapo.data.regions import load_regions
from yapo.names import place_parts

COUNTRY_PRIOR = 0.5  # how often the country as a whole is meant where no place is named; its regions share the rest


class RegionalCorpus(Corpus):
    """Draws open-ended documents of the regional atlas; it knows all answers."""

    tasks: ClassVar[tuple[str, ...]] = ("open_ended",)


def regional_corpus() -> RegionalCorpus:
    """Return the corpus of the regional atlas that ships with the project."""
    countries = load_regions()
    prior = {
        place: (1.0 - COUNTRY_PRIOR) / (len(country.contexts) - 1) if place_parts(place)[1] else COUNTRY_PRIOR
        for country in countries.values()
        for place in country.contexts
    }
    return RegionalCorpus(countries, coverage=dict.fromkeys(prior, 1.0), prior=prior)
