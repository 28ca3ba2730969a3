"""Downloading, as the hub's own client does it, from a server that answers like the hub; every refusal is one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from yapo.hub import Repo, commit_of, snapshot_commit, snapshot_of, snapshots_with_weights
from yapo.names import is_hub_id

from .hub_server import COMMIT, ROOT, Hub, put_in_cache, python, serving

MODEL = ROOT / "world" / "model"
CODE = """
from yapo.errors import YapoError
from yapo.models.checkpoint import model_folder
for place in {places!r}:
    try:
        print(model_folder(*place))
    except YapoError as error:
        print("error:", error)
"""


def folders_of(home: Path, hub: Hub | None, *places: tuple[str, str], **variables: str) -> list[str]:
    """Return the answers of ``model_folder`` in a process of its own, since the hub's client reads its variables once."""
    done = python(CODE.format(places=places), home, hub, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def folder_of(home: Path, hub: Hub | None, **variables: str) -> str:
    (line,) = folders_of(home, hub, ("owner/tiny", "main"), **variables)
    return line


def test_what_is_downloaded_and_that_it_is_downloaded_once(tmp_path: Path) -> None:
    """Only the files that are read; a second job asks nobody, and works without a network."""
    files = tmp_path / "files"
    shutil.copytree(MODEL, files)
    (files / "original").mkdir()
    for name in ("original/params.json", "consolidated.00.pth", "README.md"):
        (files / name).write_text("not needed")
    with serving(Hub(repos={"owner/tiny": files})) as hub:
        folder = Path(folder_of(tmp_path, hub))
        asked = len(hub.asked)
        assert folder_of(tmp_path, hub) == str(folder)
        assert len(hub.asked) == asked
    assert folders_of(tmp_path, None, ("owner/tiny", "main"), ("owner/tiny", COMMIT)) == [str(folder)] * 2
    assert commit_of(folder) == COMMIT
    held = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert held == sorted(path.name for path in MODEL.iterdir())
    assert all((folder / name).read_bytes() == (MODEL / name).read_bytes() for name in held)


def test_a_licence_that_was_not_accepted(tmp_path: Path) -> None:
    with serving(Hub(repos={"owner/tiny": MODEL}, gated={"owner/tiny": {"hf_good"}})) as hub:
        without = folder_of(tmp_path, hub)
        refused = folder_of(tmp_path, hub, HF_TOKEN="hf_other")
        accepted = folder_of(tmp_path, hub, HF_TOKEN="hf_good")
        for line, state in ((without, "no token is set"), (refused, "the token that is set has no access yet")):
            assert line.startswith("error: model.path=owner/tiny: its owner asks everyone to accept a licence first, and ")
            assert state in line
            assert f"accept it on {hub.url}/owner/tiny while logged in, then set HF_TOKEN" in line
    assert accepted.endswith(COMMIT)


REFUSALS = {
    ("owner/tinny", "main", 200): "model.path=owner/tinny: the hub has no such model, or it is private; check the name",
    ("owner/tiny", "v2", 200): "model.revision=v2: owner/tiny has no such branch, tag or commit",
    ("owner/tiny", "main", 503): "model.path=owner/tiny: the hub answers with status 503; try again later",
    ("owner/tiny", "main", 403): "model.path=owner/tiny: the hub refuses the token",
}


@pytest.mark.parametrize("status", [200, 403, 503])
def test_refusals(tmp_path: Path, status: int) -> None:
    wanted = {(repo, revision): said for (repo, revision, code), said in REFUSALS.items() if code == status}
    with serving(Hub(repos={"owner/tiny": MODEL}, status=status)) as hub:
        lines = folders_of(tmp_path, hub, *wanted, HF_TOKEN="hf_some")
    for line, said in zip(lines, wanted.values(), strict=True):
        assert line.startswith(f"error: {said}")


@pytest.mark.parametrize(("offline", "reason"), [("0", "http://127.0.0.1:9 cannot be reached"), ("1", "HF_HUB_OFFLINE is set")])
def test_no_network(tmp_path: Path, offline: str, reason: str) -> None:
    line = folder_of(tmp_path, None, HF_HUB_OFFLINE=offline)
    assert line.startswith(f"error: model.path=owner/tiny: it is not in the cache {tmp_path / 'hub'}, and {reason}; ")
    assert "run `hf download owner/tiny --revision main`" in line


def test_a_download_that_broke_off_goes_on(tmp_path: Path) -> None:
    with serving(Hub(repos={"owner/tiny": MODEL}, broken={"model.safetensors"})) as hub:
        assert "error: model.path=owner/tiny: the download failed (peer closed connection" in folder_of(tmp_path, hub)
        assert "only a part of it is in the cache" in folder_of(tmp_path, None)
        hub.broken, hub.asked[:] = set(), []
        assert folder_of(tmp_path, hub).endswith(COMMIT)
        assert not [line for line in hub.asked if line.endswith("tokenizer.json")]


def test_a_cache_that_was_copied(tmp_path: Path) -> None:
    """Without the client's own listing of the repository, what is missing is found by reading the files that are there."""
    snapshot = put_in_cache(tmp_path, "owner/tiny", MODEL)
    assert folder_of(tmp_path, None, HF_HUB_OFFLINE="1") == str(snapshot)
    (snapshot / "model.safetensors").unlink()
    assert "model.path=owner/tiny: model.safetensors" in folder_of(tmp_path, None, HF_HUB_OFFLINE="1")
    with serving(Hub(repos={"owner/tiny": MODEL})) as hub:
        assert folder_of(tmp_path, hub) == str(snapshot)
    assert (snapshot / "model.safetensors").read_bytes() == (MODEL / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("google/gemma-2-2b-it", True),
        ("gemma", False),
        ("./a/b", False),
        ("/a/b", False),
        ("a/b/c", False),
        ("a b/c", False),
        ("world/model", False),
        ("world/modell", False),
    ],
)
def test_what_reads_as_a_hub_id(path: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert is_hub_id(path) == expected


def test_commits_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit of ``main`` comes first; one of which only the tokenizer was fetched holds no model."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repo, tokenizer = Repo("model.path", "owner/tiny"), tmp_path / "tokenizer"
    assert snapshots_with_weights(repo) == []
    tokenizer.mkdir()
    shutil.copy(MODEL / "tokenizer.json", tokenizer)
    put_in_cache(tmp_path, "owner/tiny", tokenizer, "c" * 40)
    first, main = (put_in_cache(tmp_path, "owner/tiny", MODEL, digit * 40) for digit in "ab")
    assert snapshots_with_weights(repo) == [main, first]
    assert snapshot_of(Repo("model.path", "owner/tiny", "a" * 40)) == first


def test_which_folders_are_snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = put_in_cache(tmp_path, "owner/tiny", MODEL)
    (tmp_path / "link").symlink_to(snapshot)
    monkeypatch.chdir(snapshot)
    assert snapshot_commit(snapshot) == snapshot_commit(Path()) == snapshot_commit(tmp_path / "link") == COMMIT
    others = MODEL, snapshot.parent, tmp_path / "snapshots" / COMMIT, snapshot.parent / "main", snapshot / "sub"
    assert [snapshot_commit(folder) for folder in others] == [""] * 5


def test_pages() -> None:
    assert Repo("model.path", "a/b").page.endswith("/a/b")
    assert Repo("data.path", "a/b", kind="dataset").page.endswith("/datasets/a/b")
