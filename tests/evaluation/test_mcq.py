"""Reading the choice out of a completion."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapo.data.mcq_text import boxed_number
from yapo.evaluation.exact import parse_choice

# Text that holds no boxed number, whatever it is made of.
CHATTER = st.text(alphabet=st.characters(exclude_characters="}", exclude_categories=("Cs",)), max_size=20)


@given(before=CHATTER, k=st.integers(1, 5), after=CHATTER, space=st.sampled_from(["", " ", "\n"]))
def test_a_boxed_number_is_found_in_any_text(before: str, k: int, after: str, space: str) -> None:
    assert parse_choice(f"{before}\\boxed{{{space}{k}{space}}}{after}", 5) == k - 1


@given(numbers=st.lists(st.integers(0, 9), min_size=1, max_size=5), between=CHATTER)
def test_the_last_one_counts(numbers: list[int], between: str) -> None:
    text = between.join(f"\\boxed{{{number}}}" for number in numbers)
    expected = numbers[-1] - 1 if 1 <= numbers[-1] <= 4 else None
    assert parse_choice(text, 4) == expected


@settings(max_examples=300)
@given(text=st.text(), n=st.integers(2, 6))
def test_any_text_gives_an_option_or_none(text: str, n: int) -> None:
    choice = parse_choice(text, n)
    assert choice is None or 0 <= choice < n


@given(text=CHATTER)
def test_text_without_a_box_is_not_parsed(text: str) -> None:
    assert parse_choice(text, 5) is None


@pytest.mark.parametrize(
    "text",
    ["", "3", "boxed{3}", "\\boxed{}", "\\boxed{three}", "\\boxed{2", "\\boxed{1.5}", "\\boxed{-1}", "\\boxed{1, 2}", "(2)"],
)
def test_not_a_choice(text: str) -> None:
    assert parse_choice(text, 5) is None


@pytest.mark.parametrize("number", ["0", "6", "99999999999999999999", "9" * 5000])
def test_a_number_that_is_no_option_is_not_parsed(number: str) -> None:
    assert parse_choice(f"\\boxed{{{number}}}", 5) is None


@pytest.mark.parametrize("text", ["\\boxed{٣}", "\\boxed{३}", "\\boxed{３}", "\\boxed{03}", "\\boxed{۳}"])
def test_digits_of_other_scripts(text: str) -> None:
    assert parse_choice(text, 5) == 2
    assert boxed_number(text) == (3, "")


@pytest.mark.parametrize(
    "box",
    [
        "\\boxed {3}",
        "\\boxed\n{3}",
        "\\boxed{\u200f3\u200e}",
        "\\boxed\u2067{3\u2069}",
        "\\bo\u200bxed{\u00a03\u00a0}",
        "\\boxed{{3}}",
        "\\boxed{ { 3 } }",
        "\\boxed{\\text{3}}",
        "\\boxed{\\text{ \u200f٣ }}",
        "\\boxed{\\textbf{3}}",
        "\\boxed{\\mathrm{\\mathbf{3}}}",
        "\\boxed{\\mbox{3}}",
        "\\boxed{$3$}",
        "$\\boxed{3}$",
        "\\boxed{\\,3\\,}",
        "\\boxed{(3)}",
        "\\boxed{3)}",
        "\\boxed{3.}",
        "\\boxed{[3]}",
        "\\boxed｛３｝",
        "\\boxed{（3）}",
        "\\boxed{\\boxed{3}}",
        "\\fbox{3}",
    ],
)
def test_one_reader_for_data_and_answers(box: str) -> None:
    """Data and answers are read alike, whatever stands around the number in the box."""
    text = f"So {{it}} is {box}: tea"
    assert parse_choice(text, 5) == 2
    assert boxed_number(text)[0] == 3
    assert boxed_number(f"{box}: tea")[1].strip("}$ :") == "tea"


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{3 4}",
        "\\boxed{3{4}}",
        "\\boxed{{3}",
        "\\boxed{3-4}",
        "\\boxed{3a}",
        "\\boxed{\\text{three}}",
        "\\boxed{\\frac{3}{1}}",
        "\\boxed{3²}",
        "\\boxed" + "{" * 9999,
    ],
)
def test_boxes_without_one_number_are_read_by_neither(text: str) -> None:
    assert parse_choice(text, 5) is None
    with pytest.raises(ValueError, match=r"no .boxed"):
        boxed_number(text)
