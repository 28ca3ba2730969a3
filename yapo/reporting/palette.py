"""One colour and one marker per method, without a drawing library: figures and the MLflow page share them."""

from __future__ import annotations

import colorsys
import hashlib

from yapo.steering.methods import method_names

# Okabe and Ito's palette, safe for the common kinds of colour blindness; markers tell methods apart in grey print.
_LOOKS = {
    "baseline": ("#6b7280", "s"),
    "prompt": ("#000000", "P"),
    "few_shot_1": ("#b79f7a", "1"),
    "few_shot_3": ("#7a5c2e", "2"),
    "system_mild": ("#a3b18a", "3"),
    "system_strong": ("#4d6b2f", "4"),
    "random": ("#a8adb7", "X"),
    "caa": ("#e69f00", "^"),
    "sas": ("#56b4e9", "v"),
    "bipo": ("#d55e00", "D"),
    "yapo": ("#0072b2", "o"),
    "dspa": ("#009e73", "p"),
}
# For methods of one's own: Okabe and Ito's last colour and Tol's muted scheme.
_OTHERS = (
    "#cc79a7",
    "#882255",
    "#332288",
    "#999933",
    "#661100",
    "#117733",
    "#aa4499",
    "#8c6d31",
    "#44aa99",
    "#6b6ecf",
    "#7f3b08",
)
_MARKERS = ("h", "<", "d", "*", ">", "8", "H")
_GOLDEN = 0.618034


def look(method: str) -> tuple[str, str]:
    """Return the colour (``#rrggbb``) and matplotlib marker of a method: the same in every figure, and no other method's.

    A method without a look of its own gets one that its name picks; where another took it before, the next that is free.
    """
    for name in (*method_names(), method):  # in one order, whichever is asked for first
        if name not in _LOOKS:
            taken = {colour for colour, _ in _LOOKS.values()}
            first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(_OTHERS)
            shade = next(shade for shade in range(len(taken) + 1) if _colour(first, shade) not in taken)
            _LOOKS[name] = (_colour(first, shade), _MARKERS[(first + shade) % len(_MARKERS)])
    return _LOOKS[method]


def _colour(first: int, shade: int) -> str:
    """Return the listed colours in a circle from ``first``; then new ones without end."""
    if shade < len(_OTHERS):
        return _OTHERS[(first + shade) % len(_OTHERS)]
    red, green, blue = colorsys.hls_to_rgb((shade * _GOLDEN) % 1.0, (0.32, 0.45, 0.58)[shade % 3], 0.7)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
