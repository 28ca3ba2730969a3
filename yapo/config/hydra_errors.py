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
_SEVERAL = re.compile(r"Ambiguous value for argument '(.+?)' 1\.")
_NEW_KEY = re.compile(r"Could not override '.+?'\. To append to your config use \+(.+?) Key '.*?' is not in struct")
_UNKNOWN = re.compile(r"Key '.*?' not in '\w+' full_key: ([\w.]+)")
_NULL = re.compile(r"field '([\w.]+)' is not Optional")
_NO_SETTINGS = re.compile(
    r"Error merging override (.+?) (?:Invalid type assigned|Cannot assign \w+ to Dict|Cannot merge DictConfig with ListConfig)"
)
_NO_VALUE = re.compile(r"has missing mandatory value: .* full_key: ([\w.]+)")
_NOWHERE = re.compile(r"Interpolation key '(.+?)' not found.* full_key: ([\w.]+)")
_VARIABLE = re.compile(r"Environment variable '(\w+)' not found.* full_key: ([\w.]+)")


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
    if several := _SEVERAL.search(text):
        return f"{several[1]}: give one value; decimals follow a dot, a list stands in [ ], a text with commas in quotes"
    if unknown := _UNKNOWN.search(text):
        return f"{unknown[1]}: no setting is called so; yapo/config/ explains them all"
    if new := _NEW_KEY.search(text):
        return f"{new[1]}: adds a key; write ++{new[1]}"
    if null := _NULL.search(text):
        return f"{null[1]}=null: must have a value; give one, or leave it out"
    if flat := _NO_SETTINGS.search(text):
        return f"{flat[1]}: must be settings and values, as {{name: value}}"
    if empty := _NO_VALUE.search(text):
        return f"{empty[1]}: has no value; give one, or leave it out"
    if nowhere := _NOWHERE.search(text):
        return f"{nowhere[2]}: ${{{nowhere[1]}}} names no setting; name one, or give the value"
    if variable := _VARIABLE.search(text):
        return f"{variable[2]}: the environment variable {variable[1]} is not set; set it, or give the value"
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
