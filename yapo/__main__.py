"""``python -m yapo``: the command ``yapo``."""

from __future__ import annotations

from yapo.cli.app import main

main()
