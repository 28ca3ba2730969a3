"""Errors of Hydra and OmegaConf, said in one sentence that names the key, the value and the fix."""

from __future__ import annotations

import re
from collections.abc import Sequence

KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
_WRONG_TYPE = re.compile(
    r"Value '(.*?)' (?:of type '\w+' )?(?:could not be converted to|is not a valid) (Integer|Float|bool)"
    r"(?: \(type \w+\))?(?: full_key: ([\w.\[\]]+))?"
)
_OVERRIDE = re.compile(r"Error merging override (.+?) Value '")
# Texts of Hydra and OmegaConf, and the sentence in the place of each.
_SENTENCES = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (
            r"Ambiguous value for argument '(.+?)' 1\.",
            "{0}: give one value; decimals follow a dot, a list stands in [ ], a text with commas in quotes",
        ),
        (r"Key '.*?' not in '\w+' full_key: ([\w.]+)", "{0}: no setting is called so; yapo/config/ explains them all"),
        (
            r"Could not override '.+?'\. To append to your config use \+(.+?) Key '.*?' is not in struct",
            "{0}: adds a key; write ++{0}",
        ),
        (r"field '([\w.]+)' is not Optional", "{0}=null: must have a value; give one, or leave it out"),
        (
            r"Error merging override (.+?) "
            r"(?:Invalid type assigned|Cannot assign \w+ to Dict|Cannot merge DictConfig with ListConfig)",
            "{0}: must be settings and values, as {{name: value}}",
        ),
        (r"has missing mandatory value: .* full_key: ([\w.]+)", "{0}: has no value; give one, or leave it out"),
        (
            r"Interpolation key '(.+?)' not found.* full_key: ([\w.]+)",
            "{1}: ${{{0}}} names no setting; name one, or give the value",
        ),
        (
            r"Environment variable '(\w+)' not found.* full_key: ([\w.]+)",
            "{1}: the environment variable {0} is not set; set it, or give the value",
        ),
    )
)


def sentence(error: Exception, overrides: Sequence[str]) -> str:
    """Return what is wrong.

    Args:
        error: raised by Hydra or OmegaConf.
        overrides: those that were composed.
    """
    cause = error.__cause__ or error
    reason, detail = (" ".join(str(each).split()) for each in (error, cause))
    text = reason if detail in reason else f"{reason} {detail}"
    if isinstance(error, OverflowError):
        return f"{' '.join(overrides)}: holds a number beyond floats; give a smaller one"
    if wrong := _WRONG_TYPE.search(text):
        value, kind, key = wrong.groups()
        override = _OVERRIDE.search(text)
        whole = override and key in (None, override[1].partition("=")[0])  # otherwise the value stands inside a list or group
        return f"{override[1] if override and whole else f'{key}={value}'}: must be {KINDS[kind]}"
    for pattern, said in _SENTENCES:
        if found := pattern.search(text):
            return said.format(*found.groups())
    if unread := _unread(overrides):
        return f"{unread}: cannot be read; close every bracket and quote, and put a value with special characters in quotes"
    return text


def _unread(overrides: Sequence[str]) -> str | None:
    """Return the first override that Hydra cannot parse."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    for override in overrides:
        try:
            OverridesParser.create().parse_overrides([override])
        except (OverrideParseException, ValueError):  # Python reads no number of more than 4300 digits
            return override
    return None
