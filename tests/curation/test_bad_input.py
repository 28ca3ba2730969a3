"""Input that cannot be used: one sentence that names the file or key, the value and the fix; nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.refusals import contents, refused, refused_value
from yapo.api.pairs import read_pairs
from yapo.config import DataConfig
from yapo.config.conf_files import ROOT
from yapo.data.sources import role_of
from yapo.files import stated_role
from yapo.paths import CurationPaths
from yapo.stages.curation import answers, duplicates

from .conftest import curate_in, settings

PLACES = (ROOT / "world" / "curation" / "places.yaml").read_text(encoding="utf-8")
HEAD = "id,language,topic,text\n"
GOOD = "breakfast-1,Hindi,breakfast,{country} लोग आम तौर पर नाश्ते में क्या खाते हैं?\n"


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("seeds.csv", "", ["seeds.csv: the file is empty"]),
        ("seeds.csv", HEAD, ["seeds.csv: holds no question", "id, language, topic, text"]),
        ("seeds.yaml", "", ["seeds.yaml: holds no question"]),
        ("seeds.yaml", "questions: 3\n", ["seeds.yaml: holds", "write a list of questions"]),
        ("seeds.yaml", "- {id: a, language: Hindi\n", ["seeds.yaml: cannot be read as YAML"]),
        ("seeds.yaml", "- !!python/object/apply:os.system [ls]\n", ["seeds.yaml: cannot be read as YAML"]),
        ("seeds.yaml", "- {id: a, text: one, text: two}\n", ["seeds.yaml: cannot be read as YAML", "'text' is given twice"]),
        ("seeds.yaml", "- {id: !!timestamp x}\n", ["seeds.yaml: cannot be read as YAML"]),
        ("seeds.txt", GOOD, ["seeds.txt: has another ending; name a file that ends in .csv"]),
        ("seeds.csv", "id,language,topic\na,Hindi,lunch\n", ["question 1: has no text"]),
        ("seeds.csv", HEAD + GOOD + "a,Hindi,lunch,Eat?\n", ["question 2", "'Eat?' has 0 slots", "write {country} once"]),
        ("seeds.csv", HEAD + "a,Hindi,lunch,{country} or {country}?\n", ["question 1", "has 2 slots"]),
        ("seeds.csv", HEAD + "a,Hindi,lunch,{country}?\n", ["question 1: '{country}?' asks nothing"]),
        ("seeds.csv", HEAD + GOOD + GOOD.replace("?", "!!"), ["question 2: id 'breakfast-1' is that of question 1 too"]),
        ("seeds.csv", HEAD + GOOD + GOOD.replace("-1", "-2"), ["question 2: text", "is that of question 1 too"]),
        ("seeds.csv", HEAD + "a,Hindi,lunches,{country} eat?\n", ["topic=lunches: unknown topic", "did you mean lunch?"]),
        ("seeds.csv", HEAD + "a,Hindu,lunch,{country} eat?\n", ["language=Hindu: unknown language", "did you mean Hindi?"]),
        ("seeds.csv", HEAD + ",Hindi,lunch,{country} eat?\n", ["question 1: id is ''"]),
        (
            "seeds.csv",
            "id,language,topic,text,countries\na,Hindi,lunch,{country} eat?,india nepl\n",
            ["countries=nepl: unknown country", "did you mean nepal?"],
        ),
        ("seeds.csv", "id,language,topic,text,lang\na,Hindi,lunch,{country} eat?,x\n", ["lang: unknown column", "language"]),
        (
            "seeds.csv",
            "id,language,topic,text,nonlocalized\na,Hindi,lunch,{country} eat?,{country}?\n",
            ["nonlocalized is '{country}?'"],
        ),
        (
            "seeds.yaml",
            "- {id: 3, language: Hindi, topic: lunch, text: '{country} eat?'}\n",
            ["question 1: id is 3; give a text"],
        ),
    ],
)
def test_seeds(name: str, text: str, parts: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    config = settings(tmp_path / "results", f"curation.seeds={tmp_path / name}")
    refused(lambda: answers.main(config), *parts)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (PLACES, "", ["places.yaml: the file is"]),
        (PLACES, "{}\n", ["places.yaml: holds no language"]),
        ("  code: hi\n", "", ["places.yaml: Hindi: code is None"]),
        ("place: भारत में", "place: वहाँ", ["Hindi.india: place 'वहाँ' has none of its names"]),
        ("dialect: Egyptian Arabic", "dialekt: Egyptian Arabic", ["Arabic.egypt=dialekt: unknown key", "did you mean dialect?"]),
        ('na, "no"]', "na, no]", ["Portuguese: words is", "words such as no in quotes"]),
        ("    usa:\n", "    western:\n", ["western is the control and no country"]),
        ("    usa:\n", "    USA:\n", ["country 'USA' must be lower-case", "write usa"]),
    ],
)
def test_places(old: str, new: str, parts: list[str], tmp_path: Path) -> None:
    assert old in PLACES
    (tmp_path / "places.yaml").write_text(PLACES.replace(old, new), encoding="utf-8")
    config = settings(tmp_path / "results", f"curation.places={tmp_path / 'places.yaml'}")
    refused(lambda: answers.main(config), *parts)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("curation.countries=[nepal,indja]", ["curation.countries=indja: unknown country", "did you mean india?"]),
        ("curation.recording=nowhere.jsonl", ["nowhere.jsonl: no such file"]),
        ("curation.recording=", ["judge.name=offline: writes no answers"]),
        ("curation.topics=nowhere.yaml", ["nowhere.yaml: no such file"]),
        ("curation.seeds=nowhere.yaml", ["nowhere.yaml: no such file"]),
    ],
)
def test_files_that_are_missing(override: str, parts: list[str], tmp_path: Path) -> None:
    line = refused_value(lambda: answers.main(settings(tmp_path / "results", override)), *parts)
    assert "Traceback" not in line
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"language": "Hindi"}\n', ["line 1", "give language, text, reply"]),
        ('{"language": "Hindi", "text": "a {country}", "reply": "{}", "tokens_input": -1}\n', ["line 1"]),
        (
            '{"language": "Hindi", "text": "a", "reply": ""}\n{"language": "Hindi", "text": "A", "reply": ""}\n',
            ["line 2", "second"],
        ),
        ('{"language": "Hindi", "text": "a {country}", "reply": "{}"}\n', ["has no Arabic reply to", "take the question out"]),
        ('{"language": "Hin\n{}\n', ["line 1: not JSON"]),
    ],
)
def test_recordings(text: str, parts: list[str], tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_text(text, encoding="utf-8")
    refused(lambda: answers.main(settings(tmp_path, f"curation.recording={tmp_path / 'replies.jsonl'}")), *parts)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("curation.licence=cc-by-nd-4.0", ["curation.licence=cc-by-nd-4.0: forbids training; set curation.role=test"]),
        ("curation.licence=evaluation-only", ["curation.licence=evaluation-only: forbids training"]),
        ("curation.licence=mine", ["curation.licence=mine: choose one of apache-2.0"]),
        ("curation.seeds=''", ["curation.seeds=: name a file of seed questions"]),
        ("curation.role=validation", ["curation.role=validation: choose one of train, test"]),
        ("curation.min_options=1", ["curation.min_options=1: at least 2"]),
        ("curation.max_repeats=0", ["curation.max_repeats=0: at least 1"]),
        ("curation.duplicates.threshold=0", ["curation.duplicates.threshold=0.0: above 0"]),
        ("curation.duplicates.review_from=0.95", ["curation.duplicates.review_from=0.95: above 0, at most"]),
        ("curation.duplicates.embedding=model", ["curation.duplicates.model=: name the folder"]),
        ("curation.title=' '", ["curation.title= : give one line"]),
        ("curation.countries=[nepal,nepal]", ["curation.countries=['nepal', 'nepal']: name each once"]),
    ],
)
def test_settings(override: str, parts: list[str], tmp_path: Path) -> None:
    refused_value(lambda: settings(tmp_path, override), *parts)


@pytest.fixture
def session_copy(session: CurationPaths, tmp_path: Path) -> Path:
    """A folder of results with the session in it, which a test may change."""
    shutil.copytree(session.root.parent.parent, tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("find", "replace", "parts"),
    [
        (",drop\n", ",perhaps\n", ["row 1: decision=perhaps: choose one of drop, keep"]),
        (",drop\n", ",\n", ["row 1: decision=: choose one of drop, keep"]),
        ("eating_habits-1,egypt", "eating_habits-7,egypt", ["row 2", "eating_habits-7", "is none of the 5 pairs"]),
        ("decision\n", "verdict\n", ["column decision is missing"]),
        ("for breakfasts?", "for supper?", ["row 1: text_2 is", "not 'What do people usually eat for breakfasts?'"]),
        ("0.9269,drop\n", "0.9269,drop,drop\n", ["row 2: 11 cells"]),
        (
            "options,Arabic",
            "questions,English,breakfast-1,,breakfast-9,,a,b,0,keep\noptions,Arabic",
            ["row 2: decides a pair that"],
        ),
        ("kind,language", "sort,language", ["column kind is missing"]),
    ],
)
def test_reviews(find: str, replace: str, parts: list[str], session_copy: Path) -> None:
    pairs = next(session_copy.rglob("near_duplicates.csv"))
    text = pairs.read_text(encoding="utf-8")
    assert find in text
    edited = session_copy / "reviewed.csv"
    edited.write_text(text.replace(find, replace, 1), encoding="utf-8")
    before = contents(session_copy)
    refused_value(lambda: duplicates.main(settings(session_copy, f"curation.duplicates.review={edited}")), "reviewed.csv", *parts)
    assert contents(session_copy) == before


def test_a_review_that_is_missing_or_empty(session_copy: Path) -> None:
    for name, said in (("nowhere.csv", "no such file"), ("empty.csv", "the file is empty")):
        (session_copy / "empty.csv").touch()
        review = f"curation.duplicates.review={session_copy / name}"
        refused_value(lambda review=review: duplicates.main(settings(session_copy, review)), name, said)


def test_a_model_that_is_missing(session_copy: Path) -> None:
    model = ["curation.duplicates.embedding=model", f"curation.duplicates.model={session_copy / 'nowhere'}"]
    config = settings(session_copy, *model)
    refused(lambda: duplicates.main(config), "nowhere: no sentence-embedding model there", "curation.duplicates.embedding=ngrams")
    (session_copy / "nowhere").mkdir()
    refused(lambda: duplicates.main(config), "nowhere: no sentence-embedding model there")


def test_a_test_set_has_a_test_split_alone(tmp_path: Path) -> None:
    paths = curate_in(tmp_path, "curation.licence=evaluation-only", "curation.role=test")
    assert [path.name for path in (paths.hub / "data").iterdir()] == ["test.parquet"]
    card = (paths.hub / "README.md").read_text(encoding="utf-8")
    assert "license: other\nlicense_name: evaluation-only\n" in card
    assert "Do not train on it" in card
    for table in (paths.items, paths.hub / "data" / "test.parquet"):  # and it says so wherever it is taken
        assert role_of(DataConfig(source="table", path=str(table))) == "test"
        refused(lambda table=table: read_pairs(table), f"{table}: states that it is for evaluation only")


def test_a_training_set_states_no_role(session: CurationPaths) -> None:
    assert stated_role(session.items) == "train"
