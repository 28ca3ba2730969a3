"""From completions to scores: multiple choice, and the offline judge."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapo.config import JudgeConfig
from yapo.data.atlas import load_atlas
from yapo.errors import YapoError
from yapo.evaluation.exact import exact
from yapo.evaluation.judges import Judgement, Request, get_judge
from yapo.evaluation.judges.offline import between
from yapo.evaluation.scoring import score

from ..data.test_schema import OPTIONS, items_table

JUDGE = get_judge(JudgeConfig())


def is_exact(gold: str, completion: str) -> bool:
    return exact(pd.DataFrame({"answer": [gold]}), [completion], "open_ended")[0]


def judged(gold: str, completion: str) -> Judgement:
    return JUDGE.judge([Request("question", gold, completion)])[0]


def test_multiple_choice() -> None:
    items = items_table().set_index(pd.Index(range(100, 116)))
    completions = [f"I say \\boxed{{{index + 1}}}" for index in items["answer_index"]]
    completions[1], completions[2], completions[3] = "no idea", "\\boxed{9}", "\\boxed{3}"
    scored = score(items, completions, "mcq", JUDGE)
    assert scored["score"].tolist() == [1.0, 0.0, 0.0, 0.0] + [1.0] * 12
    assert scored["parsed"].tolist() == [True, False, False, True] + [True] * 12
    assert scored["exact"].tolist() == [s == 1.0 for s in scored["score"]]
    assert scored["completion"].tolist() == completions
    assert scored.index.equals(items.index)


def test_gold_answers_of_the_atlas_score_ten() -> None:
    golds = [answer for language in load_atlas().values() for fact in language.facts[:15] for answer in fact.answers.values()]
    for judgement in JUDGE.judge([Request("", gold, gold) for gold in golds]):
        assert judgement == Judgement(10.0)


def test_other_answers_score_between_zero_and_ten() -> None:
    close, far = judged("فول وطعمية", "فول وبيض"), judged("فول وطعمية", "croissants")
    assert close.score is not None
    assert far.score is not None
    assert 10 > close.score > far.score >= 0


@pytest.mark.parametrize("text", ["Mate, a fry-up", "आलू पराठा और दही", "مسمن وبغرير", "café con leche", "ÉCHARPE ßtraße"])
def test_spelling_variants_of_the_same_text_are_the_answer(text: str) -> None:
    forms = [unicodedata.normalize("NFD", text), text.upper().lower(), f"  {text.replace(' ', '  ')}\n", f"{text}.", f"{text} ।"]
    assert {judged(text, form) for form in forms} == {Judgement(10.0)}
    assert all(is_exact(text, form) for form in forms)


def test_meaning_bearing_marks_are_kept() -> None:
    assert not is_exact("mañana", "manana")
    assert not is_exact("चाय", "चय")


@pytest.mark.parametrize("completion", ["", "  \n", ".", "🤷"])
def test_an_empty_or_foreign_completion_scores_zero(completion: str) -> None:
    assert judged("شاي بلبن", completion) == Judgement(0.0)
    assert not is_exact("شاي بلبن", completion)


def test_judgements_come_in_order() -> None:
    pairs = [("شاي", "شاي"), ("tea", "coffee"), ("चाय", "चाय"), ("tea", "tea with milk")]
    together = JUDGE.judge([Request("", gold, completion) for gold, completion in pairs])
    assert together == [judged(gold, completion) for gold, completion in pairs]
    assert [j.score == 10 for j in together] == [True, False, True, False]


def test_open_ended() -> None:
    items = items_table().head(3)
    scored = score(items, [OPTIONS[0], "", "something else"], "open_ended", JUDGE)
    assert scored["score"].tolist()[:2] == [10.0, 0.0]
    assert scored["parsed"].all()
    assert scored["exact"].tolist() == [True, False, False]


class Illegible:
    """A judge whose replies cannot be read for every other answer."""

    label = "illegible"

    def judge(self, requests: Sequence[Request]) -> list[Judgement]:
        return [Judgement(None if i % 2 else 5.0) for i, _ in enumerate(requests)]

    def report(self) -> dict[str, object]:
        return {}


def test_an_unread_judgement_is_missing_and_never_zero() -> None:
    scored = score(items_table().head(4), ["a", "b", "c", "d"], "open_ended", Illegible())
    assert scored["score"].isna().tolist() == [False, True, False, True]
    assert scored["parsed"].tolist() == [True, False, True, False]
    assert scored["score"].mean() == 5.0
    assert scored["score"].dtype == float


def test_exactness_is_the_same_with_and_without_a_judge() -> None:
    items = items_table().head(4)
    for task, completions in {
        "mcq": ["\\boxed{1}", "\\boxed{2}", "no idea", "\\boxed{1} or \\boxed{3}"],
        "open_ended": ["شاي بلبن.", "Black  Coffee", "", "شاي بلبن"],
    }.items():
        expected = [True, False, False, task == "open_ended"]
        assert exact(items, completions, task) == expected
        assert score(items, completions, task, Illegible())["exact"].tolist() == expected


def test_completions_and_items_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        score(items_table().head(2), ["only one"], "mcq", JUDGE)
    with pytest.raises(ValueError, match="zip"):
        score(items_table().head(2), ["only one"], "open_ended", JUDGE)
    with pytest.raises(ValueError, match="zip"):
        exact(items_table().head(2), ["only one"], "open_ended")


def test_unknown_judges_are_refused() -> None:
    with pytest.raises(YapoError, match=r"judge.name=gpt: choose one of offline, openai, local"):
        JudgeConfig(name="gpt")


def test_the_label_says_that_it_is_no_judgement_of_culture() -> None:
    assert "offline" in JUDGE.label
    assert "chrF" in JUDGE.label


@given(st.text(max_size=30), st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_the_offline_score_between_two_answers_stays_on_its_scale(completion: str, gold: str, opposite: str) -> None:
    assert 1.0 <= between(gold, opposite, completion) <= 4.0


def test_the_offline_score_between_two_answers_has_its_ends_and_its_middle() -> None:
    yes, no = "I would take the money", "No, thank you"
    judge = get_judge(JudgeConfig())
    texts = [yes, no, "", "Yes, I would take all the money"]
    scores = [j.score for j in judge.judge([Request("q", yes, text, opposite=no) for text in texts])]
    assert scores[:3] == [4.0, 1.0, 2.5]
    assert 2.5 < (scores[3] or 0) < 4.0
    assert between(yes, no, no) == between(no, yes, yes)
