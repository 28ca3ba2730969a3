"""The page of a vector, and the index."""

from __future__ import annotations

import re
from dataclasses import replace

from yapo.models.token_text import Window
from yapo.studies.features.pages import (
    Example,
    FeatureCard,
    MethodComparison,
    VectorPage,
    WeightedFeature,
    Words,
    index_page,
    page_notes,
    vector_page,
)
from yapo.studies.features.table import sorted_rows

from .frames import tops

NAN = float("nan")
WORDS = Words(("·مصر", "<script>"), ("Well",))
CARD = FeatureCard(
    number=35,
    effect=-0.25,
    share=0.125,
    weight=-0.5,
    cosine=-0.75,
    fires=0.0001,
    fires_during=0.42,
    activation=0.5,
    kept=(("Tokens", 0.9, 0.1), ("activation", NAN, NAN)),
    words=WORDS,
    before=(Example(10.266, "street_food", Window("…ماذا يأكل ", "الناس", " في")),),
    during=(),
)
PAGE = VectorPage(
    language="arabic",
    country="egypt",
    method="yapo",
    task="open_ended",
    setting="both",
    facts=(("Layer", "2"),),
    words=WORDS,
    cards=(CARD,),
    weighed=(WeightedFeature(9, -2.0, 0.75, -0.01, 12, WORDS),),
    beside=(MethodComparison("BiPO", 0.8, 5, 16, 0.25),),
    links=(("Method", (("bipo-open_ended-both.html", "BiPO", False), ("yapo-open_ended-both.html", "YaPO", True))),),
    notes=("A note.",),
    neuronpedia="",
)


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("</style>")[2]).split())


def test_examples_are_marked_and_carry_their_language() -> None:
    html = vector_page(PAGE)
    assert '<p lang="ar" dir="rtl">…ماذا يأكل <mark>الناس</mark> في<small lang="en">street food</small></p>' in html
    assert '<span class="at">10.27</span>' in html
    assert "It does not fire on these texts." in html
    assert '<p lang="hi" dir="ltr">' in vector_page(replace(PAGE, language="hindi", country="nepal"))


def test_numbers_of_a_feature() -> None:
    text = text_of(vector_page(PAGE))
    assert "35 −0.250 12% of all −0.500 −0.250 −0.75 &lt; 0.1% 42%" in text
    assert "Tokens kept 0.90 (control 0.10); activation kept – (control –)" in text
    assert (
        "Beside the other methods Method Cosine of displacements Shared strongest features By chance BiPO +0.80 5 of 16 0.2"
        in text
    )


def test_a_dense_vector_has_no_weights() -> None:
    text = text_of(vector_page(replace(PAGE, cards=(replace(CARD, weight=None),), weighed=())))
    assert "There is no list by weight × activation: a dense vector has no weights on features." in text
    assert "λ × weight" not in text
    assert "35 −0.250 12% of all −0.75 &lt; 0.1% 42%" in text


def test_the_features_by_weight_and_activation_stand_beside_those_by_effect() -> None:
    text = text_of(vector_page(PAGE))
    assert "Strongest by weight × activation" in text
    assert "Place by effect Writes 9 −1.500 −2.000 0.750 −0.010 12 ·مصر" in text


def test_tokens_are_shown_not_obeyed_and_the_page_stands_alone() -> None:
    html = vector_page(PAGE)
    assert "<bdi>&lt;script&gt;</bdi>" in html
    assert "<script" not in html
    assert re.findall(r'(?:src|href)="(http[^"]*)"', html) == []
    assert set(re.findall(r'href="([^"]*)"', html)) == {
        "../index.html#open_ended-both", "bipo-open_ended-both.html", "#f35",
    }  # fmt: skip
    assert 'id="f35"' in html


def test_links_to_neuronpedia_where_it_has_the_autoencoder() -> None:
    html = vector_page(replace(PAGE, neuronpedia="gemma-2-9b/28-gemmascope-res-131k"))
    assert '<a href="https://www.neuronpedia.org/gemma-2-9b/28-gemmascope-res-131k/35">Neuronpedia</a>' in html


def test_a_vector_without_effect_has_a_page() -> None:
    assert "Strongest features" in vector_page(replace(PAGE, cards=(), weighed=(), beside=()))


def test_index_links_every_vector_and_lists_shared_features() -> None:
    html = index_page(sorted_rows(tops()), "some/sae", ["features_overlap"], "A small world.", "DSPA")
    assert '<h2 id="mcq-both">' in html
    assert '<a href="arabic-egypt/yapo-mcq-both.html">feature 7 …</a>' in html
    assert html.count('-mcq-both.html">feature') == 8
    assert "YaPO: strongest features that countries share" in html
    assert '<a href="https://www.neuronpedia.org/some/sae/7">7</a>' in html
    assert '<img src="../figures/features_overlap.png" alt="">' in html
    assert "USA, UK, Egypt, KSA" in text_of(html) and "<bdi>&lt;b&gt;</bdi>" in html
    assert "a page for each that was trained on both questions (studies.features.settings)" in html
    assert "Not here: DSPA, a map and no vector" in html
    plain = index_page(sorted_rows(tops()), "", [], "", "")
    assert "neuronpedia" not in plain and "Not here" not in plain


def test_pages_say_whether_neuronpedia_has_the_autoencoder() -> None:
    assert any("has no pages" in note for note in page_notes(10, "", ""))
    assert not any("has no pages" in note for note in page_notes(10, "", "some/sae"))
