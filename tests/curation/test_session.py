"""The recorded session of a generator that makes mistakes: every step, from seed questions to the package."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pandas as pd
import yaml

from tests.refusals import contents
from world.build.curation_session import FAULTS, FOLDER, LANGUAGES, MORE_SEEDS, Fault, session_facts, write_session
from yapo.curation.steps import STEPS
from yapo.data.atlas import WESTERN, load_atlas
from yapo.data.item_table import read_item_table
from yapo.data.schema import check_items, read_table
from yapo.paths import CurationPaths

from .conftest import curate_in

ATLAS = {language.name: language for key, language in load_atlas().items() if key in LANGUAGES}
Candidate = tuple[str, str, str]  # language, question, country
# Answers of the atlas that name a place: no mistakes of the session, but curation takes no such answer.
PLACES = {("Arabic", "snacks-1", "egypt"): "answer_names_country"}


def expected() -> dict[Candidate, str]:
    """The reason for which each candidate of the session is dropped, but for those of which too few options are left."""
    found = dict(PLACES)
    for question_id, language, _, _, _ in MORE_SEEDS:
        reason = "near_duplicate_question" if question_id == "breakfast-9" else "question_names_country"
        found |= {(language, question_id, country): reason for country in ATLAS[language].contexts}
    for fault in FAULTS:
        found |= {(fault.language, fault.question_id, country): fault.kind for country in hit_by(fault)}
    return found


def hit_by(fault: Fault) -> list[str]:
    countries = list(ATLAS[fault.language].contexts)
    if fault.kind in ("unreadable_reply", "no_control"):
        return countries
    if fault.kind in ("equal_options", "near_duplicate_option"):  # the answer is the first other country's
        return [fault.country, next(country for country in countries if country != fault.country)]
    return [fault.country]


def dropped(paths: CurationPaths) -> pd.DataFrame:
    return pd.concat([read_table(paths.dropped(step)) for step in STEPS], ignore_index=True)


def keyed(rows: pd.DataFrame) -> list[Candidate]:
    return list(rows[["language", "question_id", "country"]].itertuples(index=False, name=None))


def test_every_mistake_is_dropped_for_its_own_reason(session: CurationPaths) -> None:
    rows = dropped(session)
    found = dict(zip(keyed(rows), rows["reason"], strict=True))
    lonely = {key: reason for key, reason in found.items() if reason == "too_few_options"}
    assert {key: reason for key, reason in found.items() if key not in lonely} == expected()
    assert {key[:2] for key in lonely} == {("Hindi", "lunch-1"), ("Hindi", "dinner-1")}  # two countries have two options left
    assert not rows.duplicated(["language", "question_id", "country"]).any()


def test_what_is_left_is_the_atlas(session: CurationPaths) -> None:
    items = read_table(session.items)
    gone = set(keyed(dropped(session)))
    wanted = {
        (name, fact.question_id, country): fact
        for name, language in ATLAS.items()
        for fact in session_facts(language)
        for country in language.contexts
        if (name, fact.question_id, country) not in gone
    }
    assert len(wanted) == 257
    assert sorted(keyed(items)) == sorted([*wanted, *wanted])
    for key, rows in zip(keyed(items), items.to_dict("records"), strict=True):
        fact = wanted[key]
        siblings = [country for country in ATLAS[key[0]].contexts if (*key[:2], country) in wanted]
        assert rows["answer"] == fact.answers[key[2]]
        assert rows["options"][rows["control_index"]] == fact.answers[WESTERN]
        assert sorted(rows["options"]) == sorted(fact.answers[country] for country in [*siblings, WESTERN])
        assert (rows["topic"], rows["category"]) == (fact.topic, fact.category)
        assert rows["question"].casefold().endswith(fact.questions[0].casefold())


def test_the_two_forms_differ_in_the_country_alone(session: CurationPaths) -> None:
    items = read_table(session.items)
    forms = items.set_index(["language", "question_id", "country", "variant"])["question"].unstack()
    nepal = forms.loc[("Hindi", "breakfast-1", "nepal")]
    assert nepal["localized"] == f"नेपाल में {nepal['nonlocalized']}"
    usa = forms.loc[("English", "lunch-1", "usa")]
    assert usa.tolist() == ["In the USA, what do people usually eat for lunch?", "What do people usually eat for lunch?"]


def test_the_items_are_a_table_that_a_study_takes(session: CurationPaths) -> None:
    read = check_items(read_item_table(session.items), session.items)
    assert len(read) == 2 * 257
    assert read.groupby("country").size().to_dict()["nepal"] == 2 * 29


def test_the_package_is_a_data_set_of_the_hub(session: CurationPaths, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(session.hub), cache_dir=str(tmp_path))
    sizes = {name: len(part) for name, part in loaded.items()}
    assert set(sizes) == {"train", "validation", "test"}
    assert sum(sizes.values()) == 2 * 257
    facts = [set(part["question_id"]) for part in loaded.values()]
    assert not facts[0] & facts[1] | facts[0] & facts[2] | facts[1] & facts[2]
    _, header, text = (session.hub / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(header)
    assert (told["license"], told["language"]) == ("apache-2.0", ["ar", "en", "hi"])
    assert "514 items from 32 questions" in text
    assert "| asked | 294 |" in text


def test_the_funnel_counts_every_candidate(session: CurationPaths) -> None:
    table = pd.read_csv(session.tables / "funnel.csv")
    everything = table[table["level"] == "all"].iloc[0]
    steps = ["asked", "answers", "existence", "choices", "duplicates", "variants"]
    assert everything[steps].tolist() == [294, 289, 274, 269, 264, 257]
    for level in ("country", "topic"):
        assert table.loc[table["level"] == level, steps].sum().tolist() == everything[steps].tolist()
    reasons = pd.read_csv(session.tables / "dropped.csv")
    assert reasons["n"].sum() == 294 - 257 + 1  # the invented country was nobody's candidate
    page = session.report.read_text(encoding="utf-8")
    assert "Un bocadillo con la familia y los amigos" in page
    assert session.figure.with_suffix(".svg").is_file()
    assert 'src="data:image/' in page


def test_sizes_are_those_of_table_6_and_7(session: CurationPaths) -> None:
    items = read_table(session.items)
    topics = pd.read_csv(session.tables / "table6_topics.csv").set_index("topic")
    assert topics["items"].sum() == len(items)
    assert topics.loc["breakfast", "questions"] == 1
    sizes = pd.read_csv(session.tables / "table7_dataset.csv").set_index(["country", "variant"])["items"]
    assert sizes["egypt", "localized"] == sizes["egypt", "nonlocalized"] == 27


def test_a_second_run_gives_the_same_bytes(session: CurationPaths, tmp_path: Path) -> None:
    again = curate_in(tmp_path)
    assert contents(again.root) == contents(session.root)


def test_replies_can_be_replayed(session: CurationPaths, tmp_path: Path) -> None:
    again = curate_in(tmp_path, f"curation.recording={session.replies}")
    assert again.items.read_bytes() == session.items.read_bytes()
    assert json.loads(session.replies.read_text(encoding="utf-8").splitlines()[0])["reply"].startswith('{"egypt"')


def test_the_session_follows_from_the_atlas(tmp_path: Path) -> None:
    write_session(tmp_path)
    for name in ("seeds.csv", "session.jsonl"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()
