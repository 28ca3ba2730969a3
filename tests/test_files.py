"""Files appear whole or not at all, whatever happens to the disk or to the process that writes."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch

from yapo.config import Config
from yapo.errors import YapoError
from yapo.files import replacing, scratch_folder, unwritable, write_json, write_parquet, write_text
from yapo.stages.app import run
from yapo.tensors import save_tensors

ROOT = Path(__file__).resolve().parents[1]
LARGE = 100_000
WRITERS: dict[str, Callable[[Path], None]] = {
    "text": lambda path: write_text(path, "x" * LARGE),
    "json": lambda path: write_json(path, list(range(LARGE))),
    "parquet": lambda path: write_parquet(path, pd.DataFrame({"x": range(LARGE)})),
    "tensors": lambda path: save_tensors(path, {"x": torch.arange(LARGE)}, {}),
}


@contextmanager
def small_files(folder: Path) -> Iterator[Path]:
    """A limit on the size of files stands in for a full disk: the same error in the middle of the same write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield folder / "file.out"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def below_a_file(folder: Path) -> Iterator[Path]:
    (folder / "file").write_text("in the way")
    yield folder / "file" / "deeper" / "file.out"


@contextmanager
def a_folder_in_its_place(folder: Path) -> Iterator[Path]:
    (folder / "file.out" / "inside").mkdir(parents=True)
    yield folder / "file.out"


@contextmanager
def a_name_too_long(folder: Path) -> Iterator[Path]:
    yield folder / ("n" * 300)


@contextmanager
def a_folder_that_may_not_be_written(folder: Path) -> Iterator[Path]:
    (folder / "closed").mkdir(mode=0o500)
    if os.geteuid() == 0:
        pytest.skip("root may write to read-only folders")
    yield folder / "closed" / "file.out"


OBSTACLES = {
    "full": (small_files, "File too large; raise the limit on file sizes"),
    "below a file": (below_a_file, "give a folder you may write to"),
    "a folder": (a_folder_in_its_place, "Is a directory; give a folder you may write to"),
    "long name": (a_name_too_long, "File name too long; give it a shorter name"),
    "closed": (a_folder_that_may_not_be_written, "Permission denied; give a folder you may write to"),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_cannot_be_written_is_one_sentence_and_leaves_nothing(writer: str, obstacle: str, tmp_path: Path) -> None:
    prepare, message = OBSTACLES[obstacle]
    with prepare(tmp_path) as path:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(YapoError) as caught:
            WRITERS[writer](path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_the_old_file_stays_when_the_disk_is_full(writer: str, tmp_path: Path) -> None:
    (tmp_path / "file.out").write_text("old")
    with small_files(tmp_path) as path, pytest.raises(YapoError):
        WRITERS[writer](path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some"),
        (errno.EDQUOT, "free some"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "make it writable"),
        (errno.EACCES, "make it writable"),
        (errno.EPERM, "make it writable"),
        (errno.EIO, "check the disk"),
    ],
)
def test_every_refusal_of_a_disk_has_its_advice(number: int, advice: str) -> None:
    told = unwritable("results/x.json", OSError(number, "whatever"))
    assert str(told).startswith(f"results/x.json: {os.strerror(number)}; ")
    assert advice in str(told)
    assert unwritable("x", OSError(errno.ENOENT, "no such file")) is None


@pytest.mark.parametrize("place", ["/proc/yapo.json", "/"])
def test_places_where_no_file_can_be_made(place: str) -> None:
    with pytest.raises(YapoError, match="give a folder you may write to"):
        write_text(Path(place), "x")


def write_to_full_device(_: Config) -> None:
    with open("/dev/full", "w") as file:
        file.write("x" * LARGE)


def open_a_folder(config: Config) -> None:
    Path(config.data.path or "/").write_text("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (write_to_full_device, "error: an output or log of this job: No space left on device; free some"),
        (open_a_folder, "error: /: Is a directory; give a folder you may write to"),
    ],
)
def test_a_stage_ends_with_one_line(stage: Callable[[Config], None], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(stage, [])
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(line)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_stage_whose_log_is_full_too_still_ends_with_status_2() -> None:
    script = "from yapo.stages.app import run; run(lambda config: open('/dev/full', 'wb', 0).write(b'x'), [])"
    with open("/dev/full", "w") as full:
        assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, stderr=full, check=False).returncode == 2


HALF = """
import os, sys, time
from pathlib import Path
from yapo.files import replacing, scratch_folder
with replacing(Path(sys.argv[1])) as temporary, scratch_folder(Path(sys.argv[1]).parent) as scratch:
    temporary.write_text("half")
    Path(f"{temporary}-journal").write_text("half")
    (scratch / "folder").mkdir()
    (scratch / "folder" / "part").write_text("half")
    print("half", flush=True)
    time.sleep(60)
"""


def test_the_next_writer_clears_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    (tmp_path / ".file.json.mine").write_text("a file of the user's")
    writer = subprocess.Popen([sys.executable, "-c", HALF, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    at_work = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with scratch_folder(tmp_path) as scratch:  # the other process lives: what is its own stays
        write_text(path, "whole")
        assert list(scratch.iterdir()) == []
    assert path.read_text() == "whole"
    assert {file: file.read_bytes() for file in at_work} == at_work
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert len(list(tmp_path.iterdir())) > 2
    with scratch_folder(tmp_path) as scratch:
        write_text(path, "again")
        assert list(scratch.iterdir()) == []
    assert path.read_text() == "again"
    assert sorted(file.name for file in tmp_path.iterdir()) == [".file.json.mine", "file.json"]


def test_writers_of_one_path_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with replacing(path) as first:
        with replacing(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".file.txt.0.part.txt").symlink_to(tmp_path / "precious")
    (tmp_path / ".yapo-0.scratch").symlink_to(tmp_path)
    write_text(tmp_path / "file.txt", "new")
    with scratch_folder(tmp_path) as scratch:
        assert scratch.name == ".yapo-1.scratch"
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "file.txt").read_text() == "new"
