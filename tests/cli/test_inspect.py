"""``yapo inspect`` and ``yapo compare``."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import yapo as package
from tests.api.conftest import MODEL, SAE_FOLDER
from tests.cli.command import refused, yapo
from yapo.api.models import opened_model
from yapo.models.logit_lens import raised_tokens
from yapo.models.sae import load_sae


def test_the_strongest_features_and_what_they_write(capfd: pytest.CaptureFixture[str], sparse: Path) -> None:
    done = yapo(capfd, "inspect", sparse, "--model", MODEL, "--sae", SAE_FOLDER, "--top", 3, "--json")
    assert (done.status, done.err) == (0, "")
    shown = json.loads(done.out)
    vector, sae = package.load_vector(sparse), load_sae(SAE_FOLDER)
    assert shown["header"] == vars(vector.info)
    lengths = [vector.info.multiplier * float(v) * float(row.norm()) for v, row in zip(vector.values, sae.W_dec, strict=True)]
    strongest = sorted(range(512), key=lambda j: -abs(lengths[j]))[:3]
    assert [one["feature"] for one in shown["directions"]] == strongest
    assert [one["size"] for one in shown["directions"]] == pytest.approx([lengths[j] for j in strongest], rel=1e-5)
    rows = torch.stack([torch.sign(vector.values[j]) * sae.W_dec[j] for j in strongest])
    with opened_model(MODEL) as lm:
        assert [one["tokens"] for one in shown["directions"]] == raised_tokens(lm, rows, 8)


def test_a_dense_vector_needs_no_model(capfd: pytest.CaptureFixture[str], dense: Path) -> None:
    done = yapo(capfd, "inspect", dense)
    assert done.status == 0
    values = package.load_vector(dense).values
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert (lines["method"], lines["layer"], lines["L0"]) == ("caa", "4", "96 of 96 entries")
    assert float(lines["norm"]) == pytest.approx(float(values.norm()), rel=1e-3)


class Tags(HTMLParser):
    """The tags of a page that are still open at its end, but for those that HTML closes by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.bars = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.bars += tag == "span" and "bar" in str(dict(attrs).get("class"))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_a_bar_for_each_feature_and_no_markup_from_the_file(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, sparse: Path
) -> None:
    vector = package.load_vector(sparse)
    info = type(vector.info)(**{**vars(vector.info), "model": "<script>alert(1)</script>"})
    package.SteeringVector(vector.values, info).save(tmp_path / "v.safetensors")
    arguments = ("inspect", tmp_path / "v.safetensors", "--sae", SAE_FOLDER, "--top", 5, "--html", tmp_path / "v.html")
    assert yapo(capfd, *arguments).status == 0
    page, tags = (tmp_path / "v.html").read_text(encoding="utf-8"), Tags()
    tags.feed(page)
    assert tags.bars == 5
    assert "<script" not in page and "<script>alert(1)</script>" in tags.text


def test_vectors_are_compared(capfd: pytest.CaptureFixture[str], tmp_path: Path, sparse: Path) -> None:
    vector = package.load_vector(sparse)
    (-2 * vector).save(tmp_path / "opposite.safetensors")
    done = yapo(capfd, "compare", sparse, tmp_path / "opposite.safetensors", "--top", 4)
    top = vector.values.abs().argsort(descending=True)[:4].tolist()
    assert done.out == f"cosine -1.0000\nshared among the top 4: 4 ({', '.join(map(str, top))})\n"


def test_vectors_that_cannot_be_compared(capfd: pytest.CaptureFixture[str], dense: Path, sparse: Path) -> None:
    refused(capfd, "compare", dense, sparse, parts=("dense.safetensors and", "layer: 4 and 2"))
    refused(capfd, "inspect", "nosuch.safetensors", parts=("nosuch.safetensors: no such file",))
    other = SAE_FOLDER.with_name("layer_1")
    refused(capfd, "inspect", sparse, "--sae", other, parts=("was trained with the autoencoder", "layer_1", "give that one"))
