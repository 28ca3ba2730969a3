"""A table ready to print (``Sheet``) as Markdown and LaTeX; ``yapo.reporting.html`` makes the web page.

Texts come from data, names and models. Each format has one function that makes them show as they are and do nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DAGGER = "†"
DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Cell:
    """One printed number.

    ``interval`` is ``[low, high]`` or empty, ``delta`` the signed difference from the baseline or empty, ``failures`` the
    parse-failure rate as text where it is above zero, ``detail`` one line with everything the cell stands on.
    """

    value: str
    interval: str = ""
    delta: str = ""
    failures: str = ""
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class TableRow:
    """One line: its headers, its cells (``None``: no such cell), a count line, and whether it sums up other rows."""

    heads: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    counts: str = ""
    aggregate: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under one heading, for example one setting; the heading is empty where a table has one group."""

    heading: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True)
class Sheet:
    """A table: ``heads`` name the header columns, ``columns`` the others."""

    name: str
    title: str
    caption: str
    notes: tuple[str, ...]
    heads: tuple[str, ...]
    columns: tuple[str, ...]
    groups: tuple[Group, ...]


def markdown(sheet: Sheet) -> str:
    """Return GitHub-flavoured Markdown: one pipe table per group, caption above, notes below."""
    lines = [f"# {_md(sheet.title)}", "", _md(sheet.caption), ""]
    for group in sheet.groups:
        if group.heading:
            lines += [f"## {_md(group.heading)}", ""]
        lines.append(pipe_row([_md(name) for name in (*sheet.heads, *sheet.columns)]))
        lines.append(pipe_row([":--"] * len(sheet.heads) + ["--:"] * len(sheet.columns)))
        for previous, row in zip([None, *group.rows], group.rows, strict=False):
            heads = [_md(head) for head in _new_heads(row, previous)]
            if row.aggregate:
                heads = [f"*{head}*" if head else "" for head in heads]
            lines.append(pipe_row([*heads, *(_md_cell(cell) for cell in row.cells)]))
        lines.append("")
    lines += [f"- {_md(note)}" for note in sheet.notes]
    return "\n".join(lines).rstrip() + "\n"


def latex(sheet: Sheet) -> str:
    """Return a complete ``table`` float. It needs the packages booktabs and graphicx, and shrinks itself to the text width."""
    heads, width = len(sheet.heads), len(sheet.heads) + len(sheet.columns)
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage{graphicx}",
        "\\begin{table}[p]",
        "\\centering",
        f"\\caption{{{_tex(sheet.caption)}}}",
        f"\\label{{tab:{sheet.name.replace('_', '-')}}}",
        "\\scriptsize",
        "\\setlength{\\tabcolsep}{3pt}",
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{@{{}}{'l' * heads}{'r' * len(sheet.columns)}@{{}}}}",
        "\\toprule",
        _tex_row([_tex(name) for name in (*sheet.heads, *sheet.columns)]),
    ]
    for group in sheet.groups:
        lines.append("\\midrule")
        if group.heading:
            lines.append(f"\\multicolumn{{{width}}}{{@{{}}l}}{{\\textbf{{{_tex(group.heading)}}}}} \\\\")
        for previous, row in zip([None, *group.rows], group.rows, strict=False):
            if previous is not None and heads > 1 and row.heads[0] != previous.heads[0]:
                lines.append("\\addlinespace[1pt]")
            texts = [_tex(head) for head in _new_heads(row, previous)]
            if row.aggregate:
                texts = [f"\\textit{{{text}}}" if text else "" for text in texts]
            lines.append(_tex_row([*texts, *(_tex_cell(cell) for cell in row.cells)]))
    lines += ["\\bottomrule", "\\end{tabular}}", "\\par\\smallskip", "\\begin{minipage}{\\linewidth}\\scriptsize"]
    lines.append(" ".join(_tex(note) for note in sheet.notes))
    lines += ["\\end{minipage}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Show ``text`` as it is, on one line, inside a Markdown table, heading or paragraph."""
    escaped = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
    one_line = _CONTROLS.sub("", _LINE_ENDS.sub("<br>", escaped.strip()))
    # Marks that begin a quotation, a list, a rule or a heading's underline where a line begins.
    begins = r"\A(?:[-+](?!\d)|[=>]|\d+(?=[.)](?:\s|\Z)))"
    return re.sub(begins, lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", one_line)


def escape_latex(text: str) -> str:
    """Show ``text`` as it is, on one line, in a paragraph, caption or cell."""
    return "".join(_TEX.get(letter, letter) for letter in _CONTROLS.sub("", _LINE_ENDS.sub(" ", text)))


def _new_heads(row: TableRow, previous: TableRow | None) -> list[str]:
    """Return the headers of a row, the first one blank where it repeats the row above."""
    repeats = previous is not None and len(row.heads) > 1 and row.heads[0] == previous.heads[0]
    return ["" if repeats else row.heads[0], *row.heads[1:]]


def pipe_row(texts: list[str]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(texts) + " |"


_md = escape_markdown
_tex = escape_latex

_LINE_ENDS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_INTERVAL = re.compile(rf"\\\[([-+\d., %/{DASH}{MINUS}]*)\\\](?![(:]|\\\[)")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")


def _md_cell(cell: Cell | None) -> str:
    if cell is None:
        return DASH
    value = f"**{_md_number(cell.value)}**" if cell.best else _md_number(cell.value)
    interval = f" {_md_number(cell.interval)}" if cell.interval else ""
    return value + interval + (f" {DAGGER}" if cell.failures else "")


def _md_number(text: str) -> str:
    """Return a cell, with the brackets of intervals as they are: they make no link."""
    return _INTERVAL.sub(r"[\1]", _md(text))


_TEX = {
    "\\": "\\textbackslash{}",
    "&": "\\&",
    "%": "\\%",
    "$": "\\$",
    "#": "\\#",
    "_": "\\_",
    "{": "\\{",
    "}": "\\}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "`": "{`}",
    DASH: "--",
    MINUS: "$-$",
    DAGGER: "$^{\\dagger}$",
}


def _tex_row(texts: list[str]) -> str:
    """Return a line of a table; what begins it is no option of the ``\\\\`` before."""
    line = " & ".join(texts)
    return ("{}" if line.startswith(("[", "*")) else "") + line + " \\\\"


def _tex_cell(cell: Cell | None) -> str:
    if cell is None:
        return "--"
    value = f"\\textbf{{{_tex(cell.value)}}}" if cell.best else _tex(cell.value)
    interval = f"\\,{{\\tiny {_tex(cell.interval)}}}" if cell.interval else ""
    return value + interval + ("$^{\\dagger}$" if cell.failures else "")
