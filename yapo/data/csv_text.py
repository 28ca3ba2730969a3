"""Tables as csv files that a spreadsheet shows as they are: no text of theirs is taken for a formula."""

from __future__ import annotations

import re

import pandas as pd

# As spreadsheets read them, full-width forms included; a line end or white space before does not help everywhere.
_FORMULA = re.compile(r"[\s\x00-\x1f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n\x00]")
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][+-]?\d+)?%?(?<=[\d%])", re.ASCII)


def csv(frame: pd.DataFrame) -> str:
    """Return a table without its index, numbers to six decimals, texts such that a spreadsheet takes none for a formula."""
    shown = frame.round(6).rename(columns=lambda name: escape_csv(str(name)))
    for position in range(shown.shape[1]):
        if not pd.api.types.is_numeric_dtype(shown.dtypes.iloc[position]):
            column = shown.iloc[:, position].map(lambda cell: escape_csv(cell) if isinstance(cell, str) else cell)
            shown.isetitem(position, column.to_numpy())
    return shown.to_csv(index=False, lineterminator="\n")


def escape_csv(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would compute; numbers stay as they are.

    A carriage return alone, which csv writers leave unquoted though readers end the row there, becomes a line feed.
    """
    text = re.sub(r"\r\n?", "\n", text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
