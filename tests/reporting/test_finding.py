from __future__ import annotations

from pathlib import Path

import pytest

from yapo.errors import YapoError
from yapo.files import write_json
from yapo.reporting.finding import Finding

FINDING = Finding("transfer", "Transfer", "Do vectors travel?", "Some do.", limits=("small",), tables=("transfer",))


def test_a_finding_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    FINDING.save(tmp_path / "transfer.json")
    assert Finding.load(tmp_path / "transfer.json") == FINDING


@pytest.mark.parametrize("content", [[], {"name": "transfer"}, {"surprise": 1}])
def test_another_file_is_refused(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "other.json", content)
    with pytest.raises(YapoError, match=r"other.json: not a finding"):
        Finding.load(tmp_path / "other.json")
