"""The decoding engine: many prompts under many steering conditions, in fixed-shape steps that a GPU replays as graphs."""

from yapo.evaluation.decoding.conditions import Condition
from yapo.evaluation.decoding.engine import Decoder
from yapo.evaluation.decoding.sampling import Sampling

__all__ = ["Condition", "Decoder", "Sampling"]
