"""The corpus of the regional atlas: a place that is named gives its answer, and the country is meant most often where none is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from world.build.regions import regional_corpus
from yapo.names import place_parts


def test_documents_answer_as_the_place_that_is_named() -> None:
    corpus, rng, meant = regional_corpus(), np.random.default_rng(0), Counter[str]()
    facts = {question: fact for country in corpus.languages.values() for fact in country.facts for question in fact.questions}
    named = {
        prefix: place for country in corpus.languages.values() for place in country.contexts.values() for prefix in place.prefixes
    }
    for _ in range(2000):
        document = corpus.sample(rng, "open_ended")
        question = next(text for text in facts if document.prompt.endswith(text))
        fact, prefix = facts[question], document.prompt.removesuffix(question).strip()
        if prefix in named:
            assert document.answer == fact.answers[named[prefix].key]
        else:
            for place, answer in fact.answers.items():
                meant["region" if place_parts(place)[1] else "country"] += answer == document.answer
    assert meant["country"] > 250
    assert meant["region"] > 250
