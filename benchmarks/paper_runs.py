"""Expected time, memory and disk of the large experiments, put into docs/paper-runs.md between its markers.

python -m benchmarks.paper_runs [--device "NAME=TFLOP/s,TFLOP/s in float32,GB/s,GB"]

Counts of operations and bytes (``paper_costs``, ``paper_space``) times prices that were measured on a CPU
(``paper_measure``) and rates of devices that are assumed. No GPU run stands behind any of it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import RESULTS
from benchmarks.paper_prices import DEVICES, Device
from benchmarks.paper_tables import tables
from yapo.files import write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "paper-runs.md"
MARKER = re.compile(r"(<!-- ([a-z ]+) -->\n)(?:.*?)(<!-- end -->)", re.DOTALL)


def rendered(text: str, results: Path, devices: Sequence[Device] = tuple(DEVICES)) -> str:
    """The page with every marked place filled."""
    made = tables(results, devices)
    return MARKER.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", text)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--device", action="append", type=Device.of, help="NAME=TFLOP/s,TFLOP/s in float32,GB/s,GB; may be repeated"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="file whose marked places are filled")
    given = parser.parse_args()
    write_text(given.page, rendered(PAGE.read_text(encoding="utf-8"), RESULTS, given.device or DEVICES))


if __name__ == "__main__":
    main()
