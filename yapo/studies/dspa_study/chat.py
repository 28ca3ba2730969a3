"""Stage ``dspa_chat``: judged conversations under every method's chosen vector of one country, and unsteered.

In the second turn the model reads the whole conversation, its own first answer under the same condition included. A prompt that
is longer than the limit is not cut: its turn is not asked, and counts as such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from yapo.config import Config
from yapo.data.questions import ChatQuestion, load_questions
from yapo.evaluation.cache import CompletionCache
from yapo.evaluation.decoding import Condition
from yapo.evaluation.judges import Judge, Judgement, Request
from yapo.evaluation.judges.chat import FIRST, TIE, get_comparer, get_grader
from yapo.files import write_json, write_parquet
from yapo.stages.app import run
from yapo.stages.vectors import check_vectors
from yapo.studies.country_job import CountryJob

READS = (
    "model",
    "sae",
    "judge",
    "methods",
    "generation.max_new_tokens_open_ended",
    "studies.dspa_study.setting",
    "studies.dspa_study.chat_task",
    "studies.dspa_study.conversations",
    "studies.dspa_study.instructions",
    "studies.dspa_study.max_new_tokens",
)
NAME = "dspa_chat"
COLUMNS = ["question_id", "category", "turn", "question", "reference", "asked", "completion", "tokens"]


def main(config: Config) -> None:
    """Write ``studies/dspa_chat.parquet`` and ``studies/dspa_chat.json`` for ``country``.

    One row per method, question and turn. ``kind`` is "grade" for the conversations, whose ``score`` is the grade of a turn, and
    "pair" for the instructions, whose ``score`` is what an answer wins against the unsteered one; columns: ``grade_turns``
    and ``compare_answers`` of ``yapo.studies.dspa_study.chat``. The JSON file
    counts the requests to each judge and their cost.
    """
    wanted = config.studies.dspa_study
    check_vectors(config, "studies.dspa_study.setting", setting=wanted.setting)
    check_vectors(config, task=wanted.chat_task)
    conversations = load_questions(Path(wanted.conversations), "studies.dspa_study.conversations")
    instructions = load_questions(Path(wanted.instructions), "studies.dspa_study.instructions")
    job = CountryJob.open(config)
    vectors = job.vectors(wanted.chat_task, wanted.setting)
    conditions = [Condition(), *(vector.chosen for vector in vectors.values())]
    limit = wanted.max_new_tokens or config.generation.max_new_tokens("open_ended")
    with job.cache(NAME) as cache:
        talks, answers = (
            converse(cache, questions, conditions, limit, config.model.max_prompt_tokens)
            for questions in (conversations, instructions)
        )
    about = [("baseline", 0.0), *((method, vector.multiplier) for method, vector in vectors.items())]
    grader = get_grader(config.judge)
    grades = grade_turns(_stacked(talks, about), grader).assign(kind="grade")
    reports = {"grades": grader.report()}
    del grader  # a local judge makes room for the next
    comparer = get_comparer(config.judge)
    base, *steered = answers
    pairs = compare_answers(_stacked(steered, about[1:]), pd.concat([base] * len(steered)), comparer).assign(kind="pair")
    reports["pairs"] = comparer.report()
    labels = {**job.labels, "task": wanted.chat_task, "setting": wanted.setting}
    path = job.rows(NAME)
    write_parquet(path, pd.concat([grades, pairs], ignore_index=True).assign(**labels))
    write_json(path.with_suffix(".json"), reports)


def _stacked(frames: Sequence[pd.DataFrame], about: Sequence[tuple[str, float]]) -> pd.DataFrame:
    """Return one frame of all methods: a judge behind a network works on many answers together."""
    named = [frame.assign(method=method, multiplier=m) for (method, m), frame in zip(about, frames, strict=True)]
    return pd.concat(named, ignore_index=True)


def converse(
    cache: CompletionCache,
    questions: Sequence[ChatQuestion],
    conditions: Sequence[Condition],
    max_new_tokens: int,
    max_prompt_tokens: int,
) -> list[pd.DataFrame]:
    """Have every conversation under every condition.

    Args:
        cache: generates, and keeps, answers.
        questions: the user's turns.
        conditions: how the model is steered.
        max_new_tokens: limit of one answer.
        max_prompt_tokens: longest prompt that is asked.

    Returns:
        For each condition one row per question and turn: ``COLUMNS``, with ``turn`` from 1; where ``asked`` is False the
        completion is empty. ``tokens`` are the answer's, its end not counted.
    """
    tokenizer = cache.lm.tokenizer

    def answers(conversations: Mapping[int, tuple[str, ...]], conditions: Sequence[Condition]) -> list[dict[int, str]]:
        """Return for each condition the model's next turn in each conversation that is not too long."""
        prompts = {i: tokenizer.conversation(turns) for i, turns in conversations.items()}
        fitting = {i: ids for i, ids in prompts.items() if len(ids) <= max_prompt_tokens}
        written = cache.complete(list(fitting.values()), conditions, max_new_tokens)
        return [dict(zip(fitting, texts, strict=True)) for texts in written]

    def row(question: ChatQuestion, place: int, text: str | None) -> list[object]:
        tokens = 0 if text is None else len(tokenizer.response(text)) - 1
        asked = (text is not None, text or "", tokens)
        return [question.question_id, question.category, place + 1, question.turns[place], question.references[place], *asked]

    frames = []
    first = answers({i: question.turns[:1] for i, question in enumerate(questions)}, conditions)
    for condition, said in zip(conditions, first, strict=True):
        so_far = {i: (questions[i].turns[0], text, *questions[i].turns[1:]) for i, text in said.items()}
        (then,) = answers({i: turns for i, turns in so_far.items() if len(turns) > 2}, [condition])
        rows = [
            row(question, place, texts.get(i))
            for i, question in enumerate(questions)
            for place, texts in enumerate((said, then)[: len(question.turns)])
        ]
        frames.append(pd.DataFrame(rows, columns=COLUMNS))
    return frames


def grade_turns(talk: pd.DataFrame, judge: Judge) -> pd.DataFrame:
    """Return the turns with ``score`` (1 to 10, missing where there is none) and ``parsed``.

    Args:
        talk: turns that ``converse`` returned, of one condition or of several one below the other, each question's second turn
            right below its first.
        judge: grades single answers, see ``yapo.evaluation.judges.chat``.
    """
    before = talk.shift(1)
    earlier = [
        (question, text) if turn > 1 else ()
        for turn, question, text in zip(talk["turn"], before["question"], before["completion"], strict=True)
    ]
    requests = [
        Request(question, gold, text, earlier=said)
        for question, gold, text, said in zip(talk["question"], talk["reference"], talk["completion"], earlier, strict=True)
    ]
    asked = talk["asked"].tolist()
    judged = iter(judge.judge([request for request, was in zip(requests, asked, strict=True) if was]))
    scores = pd.Series([next(judged).score if was else None for was in asked], index=talk.index, dtype=float)
    return talk.assign(score=scores, parsed=scores.notna())


def compare_answers(talk: pd.DataFrame, base: pd.DataFrame, judge: Judge) -> pd.DataFrame:
    """Compare first answers with those of the unsteered model, each pair in both orders.

    Args:
        talk: what ``converse`` returned for one condition, or for several one below the other.
        base: the same of the unsteered model, row by row.
        judge: compares two answers, see ``yapo.evaluation.judges.chat``.

    Returns:
        One row per question, ``COLUMNS`` of ``talk`` and

        score: 1 where the answer wins in both orders, 0 where it loses in both, ties counting half; equal texts are a tie that
            no judge is asked about. Missing unless both orders were judged; since ties of equal texts never are, a plain mean
            over rows of which some are is drawn to 0.5 (``yapo.studies.dspa_study.chat_table`` allows for it).
        first: share of the two judgements that prefer the answer that stood first; missing where none were asked for.
        agree: whether both orders gave the same verdict; missing likewise.
        base_completion, base_tokens: the unsteered answer, and its length.
        asked: whether both answers are there; ``parsed``: whether there is a score.
    """
    opening, other = (frame[frame["turn"] == 1].reset_index(drop=True) for frame in (talk, base))
    asked = opening["asked"] & other["asked"]
    differ = asked & (opening["completion"] != other["completion"])
    pairs = [
        (Request(question, gold, answer, rival=rival), Request(question, gold, rival, rival=answer))
        for question, gold, answer, rival in zip(
            opening["question"][differ],
            opening["reference"][differ],
            opening["completion"][differ],
            other["completion"][differ],
            strict=True,
        )
    ]
    verdicts = iter(judge.judge([request for pair in pairs for request in pair]))
    score = np.where(asked & ~differ, 0.5, np.nan)
    first, agree = np.full_like(score, np.nan), np.full_like(score, np.nan)
    for place in np.flatnonzero(differ):
        ahead, behind = _share(next(verdicts)), 1.0 - _share(next(verdicts))  # of our answer, standing first and second
        score[place] = (ahead + behind) / 2
        first[place] = (ahead + 1.0 - behind) / 2
        agree[place] = np.nan if np.isnan(score[place]) else float(ahead == behind)
    return opening.assign(
        asked=asked,
        score=score,
        parsed=np.isfinite(score),
        first=first,
        agree=agree,
        base_completion=other["completion"],
        base_tokens=other["tokens"],
    )


def _share(verdict: Judgement) -> float:
    """Return the share of a verdict for the answer that stands first; NaN where there is none."""
    if verdict.score is None:
        return np.nan
    return 0.5 if verdict.score == TIE else float(verdict.score == FIRST)


if __name__ == "__main__":
    run(main)
