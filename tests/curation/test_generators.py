"""Generators: an endpoint that misbehaves, a model that runs here, a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.evaluation.judges.endpoint import Endpoint, Response, refuses, says
from yapo.config import JudgeConfig
from yapo.config.conf_files import ROOT
from yapo.curation.answers import Collected, collect_answers
from yapo.curation.generators import ChatGenerator, RecordedGenerator
from yapo.curation.places import load_places
from yapo.curation.seeds import SeedQuestion, load_seeds, load_topics
from yapo.data.schema import read_table
from yapo.errors import YapoError
from yapo.paths import CurationPaths

from .conftest import curate_in

FOLDER = ROOT / "world" / "curation"
PLACES = load_places(FOLDER / "places.yaml")
SEEDS = load_seeds(FOLDER / "seeds.csv", load_topics(ROOT / "world" / "atlas" / "topics.yaml"), PLACES)
RECORDS = [json.loads(line) for line in (FOLDER / "session.jsonl").read_text(encoding="utf-8").splitlines()]
REPLIES = {record["text"]: record["reply"] for record in RECORDS}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")


def endpoint(script: dict[str, list[Response]] | None = None) -> Endpoint:
    """An endpoint that replies what the recorded generator did."""
    return Endpoint(script, reply=lambda question: says(REPLIES[question]))


def configure(folder: Path, url: str, **changes: Any) -> JudgeConfig:
    quick: dict[str, Any] = {"backoff_s": 0.01, "timeout_s": 5.0, "max_retries": 3, "concurrency": 4}
    return JudgeConfig(
        **{"name": "openai", "model": "expert", "base_url": url, "cache": str(folder / "cache"), **quick, **changes}
    )


def questions(language: str, n: int) -> list[SeedQuestion]:
    return [question for question in SEEDS if question.language == language][:n]


def recorded(asked: list[SeedQuestion]) -> Collected:
    return collect_answers(asked, PLACES, RecordedGenerator(FOLDER / "session.jsonl"))


def test_trouble_loses_nothing_and_asks_nothing_twice(tmp_path: Path) -> None:
    asked = [*questions("Arabic", 8), *questions("Hindi", 8)]
    trouble = [
        refuses(429, "rate_limit_exceeded"),
        refuses(500),
        says(REPLIES[asked[2].text], cut=True),
        Response(b'{"choices": [{"mess'),
        says(REPLIES[asked[4].text], delay=1.2),
        says(REPLIES[asked[5].text][:40]),
        says("Here you are!"),
    ]
    script = {question.text: [response] for question, response in zip(asked, trouble, strict=False)}
    with endpoint(script) as server:
        config = configure(tmp_path, server.url, timeout_s=0.6, price_input=1.0, price_output=10.0)
        generator = ChatGenerator(config)
        collected = collect_answers(asked, PLACES, generator)
        assert collected.outcome.kept.equals(recorded(asked).outcome.kept)
        assert collected.outcome.dropped.equals(recorded(asked).outcome.dropped)
        assert [server.asked()[question.text] for question in asked] == [2] * len(trouble) + [1] * (16 - len(trouble))
        first, second = generator.report()
        assert (first["language"], second["language"]) == ("Arabic", "Hindi")
        assert first["tokens"] == {"input": 1000, "output": 100}  # 8 replies, and 2 that could not be read
        assert first["cost"] == pytest.approx(1000 / 1e6 + 10 * 100 / 1e6)
        before = len(server.sent)
        again = ChatGenerator(config)
        assert collect_answers(asked, PLACES, again).replies == collected.replies
        assert len(server.sent) == before
        assert [report["cost"] for report in again.report()] == [0.0, 0.0]


def test_a_run_that_stops_half_way_goes_on_from_there(tmp_path: Path) -> None:
    asked = questions("Hindi", 20)
    script = {question.text: [refuses(429, "insufficient_quota", "You ran out")] for question in asked[10:]}
    with endpoint(script) as server:
        with pytest.raises(YapoError, match="top up the account"):
            collect_answers(asked, PLACES, ChatGenerator(configure(tmp_path, server.url)))
        server.script.clear()
        collected = collect_answers(asked, PLACES, ChatGenerator(configure(tmp_path, server.url)))
        assert set(server.served.values()) == {1}
    assert collected.outcome.kept.equals(recorded(asked).outcome.kept)


def test_what_stays_unreadable_is_dropped_and_counted(tmp_path: Path) -> None:
    asked = questions("Hindi", 3)
    with endpoint({asked[1].text: [says("mumble"), says("mumble")]}) as server:
        outcome = collect_answers(asked, PLACES, ChatGenerator(configure(tmp_path, server.url))).outcome
        turns = [sent.body["messages"] for sent in server.sent if sent.answer == asked[1].text][1]
    assert outcome.dropped[["question_id", "country", "reason", "detail"]].values.tolist() == [
        [asked[1].question_id, country, "unreadable_reply", "mumble"] for country in ("india", "nepal")
    ]
    assert "for every key" in turns[-1]["content"]


def test_the_request_names_every_country_with_its_dialect(tmp_path: Path) -> None:
    asked = questions("Arabic", 1)
    with endpoint() as server:
        collect_answers(asked, PLACES, ChatGenerator(configure(tmp_path, server.url)))
        body = server.sent[0].body
    system, user = (turn["content"] for turn in body["messages"])
    for country in PLACES["Arabic"].countries.values():
        assert f"- {country.key}: what people {country.place} would say, written in {country.dialect}" in system
    assert "written in Modern Standard Arabic" in system
    assert asked[0].text in user
    schema = body["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == schema["required"] == ["egypt", "ksa", "levantine", "morocco", "western"]


def test_only_the_countries_of_the_benchmark_are_asked_about(tmp_path: Path) -> None:
    with endpoint() as server:
        settings = [
            "judge=openai",
            f"judge.base_url={server.url}",
            "curation.recording=''",
            "curation.countries=[egypt,nepal,india]",
        ]
        paths = curate_in(tmp_path, *settings, "curation.min_options=2")
        (system, _), *_ = (sent.body["messages"] for sent in server.sent if sent.answer == SEEDS[0].text)
    assert "- egypt:" in system["content"]
    assert "- morocco:" not in system["content"]
    assert set(read_table(paths.items)["country"]) == {"egypt", "nepal", "india"}
    assert {question.language for question in SEEDS} > set(read_table(paths.items)["language"])


def test_the_whole_line_behind_an_endpoint_and_replayed(session: CurationPaths, tmp_path: Path) -> None:
    with endpoint() as server:
        settings = ["judge=openai", f"judge.base_url={server.url}", "curation.recording=''"]
        live = curate_in(tmp_path / "live", *settings)
        report = json.loads(live.generation.read_text(encoding="utf-8"))
    assert report["generator"] == "gpt-4.1-mini-2025-04-14"
    assert sum(part["requests"] for part in report["asked"]) == len(server.sent) == len(SEEDS) + 1  # one reply is cut off
    for name in ("items.parquet", "funnel.html", "near_duplicates.csv"):
        assert (live.root / name).read_bytes() == (session.root / name).read_bytes()
    replayed = curate_in(tmp_path / "replayed", f"curation.recording={live.replies}")
    assert replayed.items.read_bytes() == live.items.read_bytes()
    kept = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.json*"))
    assert "sk-secret" not in kept


def test_a_model_that_runs_here(tmp_path: Path) -> None:
    """The tiny model writes no JSON: all candidates are dropped, and its replies are kept."""
    config = JudgeConfig(name="local", model=str(ROOT / "world" / "model"), max_tokens=8, cache=str(tmp_path))
    collected = collect_answers(questions("Hindi", 2), PLACES, ChatGenerator(config))
    assert set(collected.outcome.dropped["reason"]) == {"unreadable_reply"}
    assert all(reply["reply"] and reply["tokens_output"] for reply in collected.replies)


def test_an_empty_package_is_refused(tmp_path: Path) -> None:
    lines = [json.dumps({**record, "reply": "no"}) for record in RECORDS]
    (tmp_path / "mute.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(YapoError, match=r"no question is left.*funnel\.html"):
        curate_in(tmp_path / "results", f"curation.recording={tmp_path / 'mute.jsonl'}")
    page = next(tmp_path.rglob("funnel.html"))
    assert "Unreadable reply (294)" in page.read_text(encoding="utf-8")
    assert not (page.parent / "items.parquet").exists()


def test_hostile_replies_are_data(tmp_path: Path) -> None:
    """Formulas, markup, other lines, essays and keys of any kind: counted, shown as they are, never a crash."""
    replies = [
        {"india": "=HYPERLINK(1)", "nepal": "<script>alert(1)</script>", "western": "चाय"},
        {"india": "चाय\nऔर  समोसा", "nepal": "चिया " + "दूध " * 2, "western": "कॉफ़ी", "\u202e<b>": "x"},
        {"india": "यह " + " ".join(f"शब्द{n}" for n in range(9000)), "nepal": "ह " * 30_000, "western": "कॉफ़ी"},
    ]
    asked = questions("Hindi", 3)
    lines = [
        json.dumps({"language": "Hindi", "text": question.text, "reply": json.dumps(reply)})
        for question, reply in zip(asked, replies, strict=True)
    ]
    (tmp_path / "hostile.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = pd.DataFrame([vars(question) for question in asked])[["question_id", "language", "topic", "text"]]
    table.rename(columns={"question_id": "id"}).to_csv(tmp_path / "seeds.csv", index=False)
    own = [f"curation.recording={tmp_path / 'hostile.jsonl'}", f"curation.seeds={tmp_path / 'seeds.csv'}", "curation.role=test"]
    paths = curate_in(tmp_path, *own)
    answers = read_table(paths.items).drop_duplicates("country")["answer"].tolist()
    assert answers == ["चाय और समोसा", "चिया दूध दूध"]
    found = pd.concat([read_table(paths.dropped(step)) for step in ("answers", "existence")])
    assert found["reason"].tolist() == ["invented_country", "wrong_script", "wrong_script", "too_long", "repetition"]
    assert found["detail"].str.len().max() < 300
    page = paths.report.read_text(encoding="utf-8")
    assert "&lt;script&gt;alert" in page and "<script" not in page
    assert "'=HYPERLINK(1)" in (paths.tables / "examples.csv").read_text(encoding="utf-8")
