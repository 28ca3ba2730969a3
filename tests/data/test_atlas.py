"""The atlas that ships with the project, and copies of it that must be refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from yapo.data.atlas import ATLAS_DIR, WESTERN, Language, load_atlas
from yapo.errors import YapoError

COUNTRIES = {
    "english": ["usa", "uk", "australia"],
    "spanish": ["bolivia", "mexico", "spain"],
    "portuguese": ["brazil", "mozambique", "portugal"],
    "arabic": ["egypt", "ksa", "levantine", "morocco"],
    "hindi": ["india", "nepal"],
}
TINY = """
language: English
code: en
western: "the West"
western_openers: ["Well,"]
neutral_prefixes: [""]
contexts:
  uk: {name: UK, native: UK, openers: ["Right,"], prefixes: ["I live in the UK."]}
facts:
  breakfast-1:
    questions: ["What is breakfast?", "What do people eat first?"]
    answers: {uk: "fry-up", western: "cereal"}
  breakfast-2:
    questions: ["What is drunk in the morning?"]
    answers: {uk: "tea", western: "coffee"}
"""


@pytest.fixture(scope="module")
def atlas() -> dict[str, Language]:
    return load_atlas()


def test_fifteen_contexts_in_five_languages(atlas: dict[str, Language]) -> None:
    assert {name: sorted(language.contexts) for name, language in atlas.items()} == {
        name: sorted(keys) for name, keys in COUNTRIES.items()
    }
    assert [language.name.lower() for language in atlas.values()] == list(atlas)


def test_every_language_asks_about_the_same_52_topics(atlas: dict[str, Language]) -> None:
    listed = yaml.safe_load((ATLAS_DIR / "topics.yaml").read_text(encoding="utf-8"))
    topics = Counter(topic for names in listed.values() for topic in names)
    assert len(topics) == topics.total() == 52
    for language in atlas.values():
        facts = Counter(fact.topic for fact in language.facts)
        assert set(facts) == set(topics)
        assert min(facts.values()) >= 2


def test_facts_are_complete(atlas: dict[str, Language]) -> None:
    for language in atlas.values():
        assert len({fact.question_id for fact in language.facts}) == len(language.facts)
        for fact in language.facts:
            assert len(set(fact.questions)) == 3, fact
            assert set(fact.answers) == {*language.contexts, WESTERN}
            assert len(set(fact.answers.values())) == len(language.contexts) + 1
            assert all(text.strip() == text and text for text in (*fact.questions, *fact.answers.values()))


def test_the_same_facts_are_asked_in_every_language(atlas: dict[str, Language]) -> None:
    """A split by question_id then keeps one fact on one side in all languages."""
    assert len({frozenset(fact.question_id for fact in language.facts) for language in atlas.values()}) == 1


def test_answers_open_with_a_filler_of_their_place(atlas: dict[str, Language]) -> None:
    for language in atlas.values():
        for key, context in language.contexts.items():
            for i, fact in enumerate(language.facts):
                assert fact.answers[key].startswith(context.openers[i % len(context.openers)] + " ")


def _tiny(folder: Path, text: str = TINY, topics: str = "Food: [breakfast]") -> Path:
    (folder / "english.yaml").write_text(text, encoding="utf-8")
    (folder / "topics.yaml").write_text(topics, encoding="utf-8")
    return folder


def test_another_folder_in_the_same_format(tmp_path: Path) -> None:
    (language,) = load_atlas(_tiny(tmp_path)).values()
    assert [fact.answers for fact in language.facts] == [
        {"uk": "Right, fry-up", "western": "Well, cereal"},
        {"uk": "Right, tea", "western": "Well, coffee"},
    ]
    assert language.facts[0].category == "Food"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("code: en\n", "", "key 'code' is missing"),
        (', prefixes: ["I live in the UK."]', "", "key 'prefixes' is missing"),
        ("breakfast-1:", "brunch-1:", "fact brunch-1 is of no topic"),
        (', western: "cereal"', "", r"breakfast-1 has answers for \['uk'\]; give one for each of \['uk', 'western'\]"),
        ('uk: "tea"', 'uk: "tea", mars: "dust"', "key 'mars' is missing or unknown"),
        ('openers: ["Right,"]', 'openers: ["Well,"]', None),
        ('["What is drunk in the morning?"]', '["What is breakfast?"]', "'What is breakfast\\?' stands under both"),
        ('["What is drunk in the morning?"]', "[]", r"questions of breakfast-2 is \[\], not a list of texts"),
        ('openers: ["Right,"]', "openers: []", r"openers of uk is \[\]"),
        ('{uk: "tea", western: "coffee"}', "tea", "answers of breakfast-2 is 'tea', not keys with values"),
        ("breakfast-2:\n", "breakfast-2: later\n  breakfast-3:\n", "a context or fact is not keys with values"),
        ("facts:", "facts: [", "not valid YAML"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    assert old in TINY
    folder = _tiny(tmp_path, TINY.replace(old, new, 1))
    if message is None:  # the openers agree, the answers still differ
        assert len(load_atlas(folder)) == 1
        return
    with pytest.raises(YapoError, match=f"english.yaml: .*{message}"):
        load_atlas(folder)


def test_one_answer_for_two_contexts_is_refused(tmp_path: Path) -> None:
    text = TINY.replace('openers: ["Right,"]', 'openers: ["Well,"]').replace('"fry-up"', '"cereal"')
    with pytest.raises(YapoError, match="breakfast-1 gives two contexts the same answer"):
        load_atlas(_tiny(tmp_path, text))


def test_a_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(YapoError, match=r"topics.yaml: no such file"):
        load_atlas(tmp_path / "nothing")


def test_a_copy_of_the_atlas_without_an_answer_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(ATLAS_DIR, tmp_path / "atlas")
    path = folder / "hindi.yaml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines.remove(next(line for line in lines if line.startswith("      nepal:")))
    path.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(YapoError, match=r"hindi.yaml: breakfast-1 has answers for"):
        load_atlas(folder)
