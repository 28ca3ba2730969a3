"""Reading a published multiple-choice text gives back what it was made of, or says why it cannot."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from yapo.data.mcq_text import Mcq, boxed_number, parse_mcq

NUMBERS = [str(k) for k in range(1, 27)]
ARABIC = [number.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")) for number in NUMBERS]
DEVANAGARI = [number.translate(str.maketrans("0123456789", "०१२३४५६७८९")) for number in NUMBERS]
LABELS = [NUMBERS, ARABIC, DEVANAGARI, list(string.ascii_uppercase), list(string.ascii_lowercase)]
MARKS = [
    "{}) ",
    "{}. ",
    "({}) ",
    "[{}] ",
    "{}: ",
    "{} - ",
    "{}- ",
    "{})",
    "  {}. ",
    "{} ) ",
    "\u200f{}) ",
    "\u2067{}\u2069\u200f) \u200f",
]

WORDS = ["tea", "Órale, pozole", "شاي بلبن", "مع السكر", "चाय", "दोपहर का खाना", "12:30", "3 kg", "100%", "\\boxed{1}", "e.g. x"]
# Any characters but line ends and other controls; outer spaces are not part of a text.
LINES = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool),
)
# A line that looks like an option would be one: what is tested of these is that they are refused (below).
OTHER_LINES = LINES.filter(lambda line: not re.match(r"\s*[(\[]?(\d{1,2}|[A-Za-z])\s*[)\].:–-]", line))


def formatted(question: list[str], options: list[str], labels: list[str], mark: str) -> str:
    return "\n".join([*question, *(mark.format(label) + option for label, option in zip(labels, options, strict=False))])


@given(
    question=st.lists(OTHER_LINES, min_size=1, max_size=3),
    options=st.lists(LINES, min_size=2, max_size=26),
    labels=st.sampled_from(LABELS),
    mark=st.sampled_from(MARKS),
    crlf=st.booleans(),
)
@example(question=["كم؟"], options=["2) two", "(1) one"], labels=ARABIC, mark="{}) ", crlf=False)
def test_parsing_undoes_formatting(question: list[str], options: list[str], labels: list[str], mark: str, crlf: bool) -> None:
    text = formatted(question, options, labels, mark)
    assert parse_mcq(text.replace("\n", "\r\n") if crlf else text) == Mcq("\n".join(question), tuple(options))


@given(
    question=st.lists(OTHER_LINES, min_size=1, max_size=2),
    options=st.lists(OTHER_LINES, min_size=3, max_size=8),
    gone=st.integers(0, 6),
    labels=st.sampled_from(LABELS),
    mark=st.sampled_from(MARKS),
)
def test_a_gap_or_another_start_is_refused(
    question: list[str], options: list[str], gone: int, labels: list[str], mark: str
) -> None:
    """Whichever label is left out but the last."""
    gone = gone % (len(options) - 1)
    left = [label for i, label in enumerate(labels[: len(options)]) if i != gone]
    with pytest.raises(ValueError, match=r"no list of options; option \d+ where \d+ is expected"):
        parse_mcq(formatted(question, options[1:], left, mark))


@pytest.mark.parametrize(
    ("text", "options", "question"),
    [
        ("What?\n\n1) a\n\n2) b\n", ("a", "b"), "What?"),
        ("What?\n1) a long\n   answer\n2) b\nmore", ("a long answer", "b more"), "What?"),
        ("What?\n1) a\n2) b\n\nAnswer with the number.", ("a", "b"), "What?\n\nAnswer with the number."),
        ("1) a\n2) b\n\nWhat?", ("a", "b"), "What?"),
        (
            "Two rules:\n1) be kind\n2) be brief\nWhat?\n1) a\n2) b\n3) c",
            ("a", "b", "c"),
            "Two rules:\n1) be kind\n2) be brief\nWhat?",
        ),
        ("Q: What?\n1) a\n2) b", ("a", "b"), "Q: What?"),
        ("12. What?\nA) a\nB) b", ("a", "b"), "12. What?"),
        ("ماذا؟\n١) شاي\n٢) قهوة", ("شاي", "قهوة"), "ماذا؟"),
        ("क्या?\n(१) चाय\n(२) कॉफ़ी", ("चाय", "कॉफ़ी"), "क्या?"),
    ],
)
def test_forms_seen_in_such_data(text: str, options: tuple[str, ...], question: str) -> None:
    assert parse_mcq(text) == Mcq(question, options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no list of options"),
        ("What?", "no list of options"),
        ("What?\n1) a", "a single option"),
        ("What?\n0) a\n1) b\n2) c", "option 0 where 1 is expected: 'a'"),
        ("What?\n2) a\n3) b", "option 2 where 1 is expected"),
        ("What?\n1) a\n3) b", "option 3 where 2 is expected: 'b'"),
        ("What?\n1) a\n2) b\n2) c", "option 2 where 3 is expected"),
        ("What?\n1) a\n2)\n3) c", "option 2 is empty"),
        ("What?\n1) a\n2) b\nA) c\nB) d", "two lists of options in different styles"),
        ("What?\n1) a\n2. b", "no list of options"),
        ("Open at 12:30\n1.5 kg", "no list of options"),
        ("What?\n(1] a\n(2] b", "no list of options"),
    ],
)
def test_what_is_no_clean_list_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_mcq(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{2}", (2, "")),
        (r"The answer is \boxed{ 10 }", (10, "")),
        (r"\boxed{0} : شاي بلبن", (0, "شاي بلبن")),
        (r"\boxed {3}: a - b", (3, "a - b")),
        (r"\boxed{2}, thus \boxed{2} - tea", (2, "tea")),
        (r"\boxed{٣}", (3, "")),
    ],
)
def test_boxes(text: str, expected: tuple[int, str]) -> None:
    assert boxed_number(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", r"no \boxed{k}"),
        (r"\boxed{}", r"no \boxed{k}"),
        (r"\boxed{tea}", r"no \boxed{k}"),
        (r"\boxed{1} or \boxed{2}", "boxes say [1, 2]"),
    ],
)
def test_no_box_or_two(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        boxed_number(text)
