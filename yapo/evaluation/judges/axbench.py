"""Rubrics of AxBench (Wu et al. 2025, arXiv 2501.17148): concept, instruct and fluency, 0 to 2 each, and their harmonic mean.

Each grade is a request of its own that sees no more than it needs, as there. The wording is ours, so grades compare with each
other and not with published ones. The concept is what people of a place would say; the reference answer is shown to none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import ArrayLike

from yapo.evaluation.bootstrap import Floats
from yapo.evaluation.judges.rubric import Request, Rubric

Part = Literal["concept", "instruct", "fluency"]
PARTS: tuple[Part, ...] = get_args(Part)
LOWEST, HIGHEST = 0, 2

_TEMPLATES: dict[Part, str] = {
    "concept": "axbench_concept.md.j2",
    "instruct": "axbench_instruct.md.j2",
    "fluency": "axbench_fluency.md.j2",
}


def axbench_rubric(part: Part, concept: str) -> Rubric:
    """Return the rubric of one part.

    Args:
        part: what is graded.
        concept: what an answer should bring in, in words; only ``concept`` sees it.
    """
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(  # a prompt, no page
        Path(__file__).with_name(_TEMPLATES[part]).read_text(encoding="utf-8")
    )
    data: dict[Part, Callable[[Request], dict[str, str]]] = {
        "concept": lambda request: {"concept": concept, "answer_to_grade": request.completion},
        "instruct": lambda request: {"question": request.question, "answer_to_grade": request.completion},
        "fluency": lambda request: {"answer_to_grade": request.completion},
    }
    return Rubric(template.render(lowest=LOWEST, highest=HIGHEST).strip(), {part: (LOWEST, HIGHEST)}, data[part])


def harmonic_mean(concept: ArrayLike, instruct: ArrayLike, fluency: ArrayLike) -> Floats:
    """Return the harmonic mean of three grades, 0 where any is 0; NaN where any is missing.

    Args:
        concept, instruct, fluency: grades from 0 to 2, ``[answers]``.
    """
    grades = np.stack([np.asarray(part, dtype=np.float64) for part in (concept, instruct, fluency)])
    with np.errstate(divide="ignore"):
        mean: Floats = len(PARTS) / (1 / grades).sum(axis=0)
    return mean
