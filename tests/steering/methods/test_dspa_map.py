"""DSPA's map and its edit against loops written from the equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch import Tensor

from yapo.errors import YapoError
from yapo.models.language_model import LanguageModel
from yapo.models.sae import SAE
from yapo.models.template import Template
from yapo.steering.methods.dspa.edit import Conditional
from yapo.steering.methods.dspa.fit_map import conditional_map, densities, gates
from yapo.steering.methods.dspa.map import ConditionalMap, Entries, MapInfo

Rows = list[list[float]]


def percentile(values: list[float], p: float) -> float:
    """Linear between the two nearest ranks."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * p / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def plain_gates(rho: Rows, p: float, fires: bool = True) -> list[list[int]]:
    tau = [percentile([row[i] for row in rho], p) for i in range(len(rho[0]))]
    return [[int((row[i] > 0 or not fires) and row[i] >= tau[i] - 1e-12) for i in range(len(row))] for row in rho]


def plain_map(opens: list[list[int]], difference: Rows, normalise: str) -> Rows:
    """A, entry by entry."""
    n, made = len(opens), []
    for i in range(len(opens[0])):
        opened = sum(row[i] for row in opens)
        total = [sum(opens[k][i] * difference[k][j] for k in range(n)) for j in range(len(difference[0]))]
        made.append([t / (n if normalise == "pairs" else max(opened, 1)) for t in total])
    return made


def plain_sparsified(a: Rows, rule: str, k: int) -> Rows:
    kept = []
    for row in a:
        positive, negative = sorted((x for x in row if x > 0), reverse=True)[:k], sorted(x for x in row if x < 0)[:k]
        kept.append([x != 0 and ((x > 0 and x >= positive[-1]) or (x < 0 and x <= negative[-1])) for x in row])
    if rule == "rows":
        return [[x if keep else 0.0 for x, keep in zip(*pair, strict=True)] for pair in zip(a, kept, strict=True)]
    leading = [abs(x) for row, keeps in zip(a, kept, strict=True) for x, keep in zip(row, keeps, strict=True) if keep]
    tau = min(leading, default=0.0)
    return [[x if abs(x) >= tau else 0.0 for x in row] for row in a]


@st.composite
def counts(draw: st.DrawFn) -> tuple[Rows, Rows]:
    """Densities of some prompts, and differences of densities of their answers: eighths, so that every sum is exact."""
    n, wide, answers = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    rho = st.lists(st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.5, 0.75]), min_size=wide, max_size=wide), min_size=n, max_size=n)
    eighths = st.sampled_from([-0.75, -0.5, -0.125, 0.0, 0.0, 0.25, 0.5])
    difference = st.lists(st.lists(eighths, min_size=answers, max_size=answers), min_size=n, max_size=n)
    return draw(rho), draw(difference)


@settings(max_examples=60, deadline=None)
@given(
    sides=counts(),
    p=st.sampled_from([50, 75, 90]),
    normalise=st.sampled_from(["pairs", "gate"]),
    rule=st.sampled_from(["rows", "threshold"]),
    k=st.integers(1, 3),
    fires=st.booleans(),
)
def test_the_map_equals_the_definition(
    sides: tuple[Rows, Rows], p: float, normalise: str, rule: str, k: int, fires: bool
) -> None:
    rho, difference = sides
    opens = gates(sparse.csr_matrix(np.array(rho)), p, fires)
    assert opens.toarray().tolist() == plain_gates(rho, p, fires)
    found = conditional_map(opens, sparse.csr_matrix(np.array(difference)), normalise, rule, k).toarray()
    whole = torch.tensor(plain_map(plain_gates(rho, p, fires), difference, normalise)).tolist()  # float32, where entries tie
    np.testing.assert_allclose(found, plain_sparsified(whole, rule, k), rtol=1e-6)


def test_a_map_larger_than_a_block_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    g = np.random.default_rng(0)
    rho = sparse.csr_matrix(g.integers(0, 3, (7, 40)) / 2)
    difference = sparse.csr_matrix(g.integers(-2, 3, (7, 30)) / 4)
    made = [conditional_map(gates(rho, 75), difference, "gate", rule, 2).toarray() for rule in ("rows", "threshold")]
    monkeypatch.setattr("yapo.steering.methods.dspa.fit_map.BLOCK", 3)
    again = [conditional_map(gates(rho, 75), difference, "gate", rule, 2).toarray() for rule in ("rows", "threshold")]
    assert all(np.array_equal(*pair) for pair in zip(made, again, strict=True))
    assert (made[0] != made[1]).any()


def test_densities_are_shares_of_tokens(any_sae: SAE) -> None:
    """Two owners with 5 and 3 tokens, one with none."""
    hidden, owner = torch.randn(8, 32, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 2, 0, 0, 2, 0, 2, 0])
    found = densities(any_sae, hidden, owner, 3).toarray()
    for which in range(3):
        codes = [any_sae.encode(h) for h, o in zip(hidden, owner.tolist(), strict=True) if o == which]
        expected = [sum(float(s[i] > 0) for s in codes) / max(len(codes), 1) for i in range(any_sae.d_sae)]
        assert found[which].tolist() == pytest.approx(expected)


# At inference: a random map over a quarter of the features on either side.

TEMPLATE = Template(special=(0, 1, 2, 5), opening=(2, 4, 9), closing=(5, 4, 8))
IDS = torch.tensor([[0, 0, 2, 4, 9, 20, 21, 5, 4, 8], [2, 4, 9, 30, 31, 32, 33, 5, 4, 8], [0, 0, 0, 0, 0, 2, 4, 9, 22, 23]])
PROMPT = IDS != 0
CONTENT = [[5, 6], [3, 4, 5, 6], [8, 9]]  # tokens that the template did not write


def make_map(sae_in: SAE, sae_out: SAE, **changes: Any) -> ConditionalMap:
    g = torch.Generator().manual_seed(4)
    shape = sae_in.d_sae, sae_out.d_sae
    dense = torch.randn(shape, generator=g) * (torch.rand(shape, generator=g) < 0.25)
    info = MapInfo(
        layer_in=0, layer_out=2, sae_in="in", sae_in_digest=sae_in.digest, width_in=sae_in.d_sae, sae_out="out",
        sae_out_digest=sae_out.digest, width_out=sae_out.d_sae, pairs=9, mode="ablate", k_prompt=6, k_diff=4, demix=False,
        percentile=90.0, normalise="pairs", sparsify="threshold", template=TEMPLATE,
    )  # fmt: skip
    info = replace(info, **changes)
    opened = (torch.rand(9, sae_in.d_sae, generator=g) < 0.4).nonzero().T if info.demix else None
    return ConditionalMap(info, Entries.of(sparse.csr_matrix(dense.numpy())), opened)


def block_output(lm: LanguageModel, ids: Tensor, layer: int) -> Tensor:
    """Residual stream after a block, by the library's own pass over rows without padding."""
    seen: list[Tensor] = []
    handle = lm.model.model.layers[layer].register_forward_hook(lambda _m, _a, hidden: seen.append(hidden))
    with torch.no_grad():
        lm.model(input_ids=ids)
    handle.remove()
    return seen[0]


def dense_map(made: ConditionalMap) -> Tensor:
    a = torch.zeros(made.info.width_in, made.info.width_out, dtype=torch.float64)
    a[made.entries.rows, made.entries.columns] = made.entries.values.double()
    return a


def plain_sets(made: ConditionalMap, sae_in: SAE, states: Tensor) -> tuple[list[int], list[int]]:
    """S_ablate and S_augment of one prompt, from the states of the tokens that count."""
    info, a = made.info, dense_map(made)
    codes = sae_in.encode(states)
    rho = [float((codes[:, i] > 0).sum()) / max(len(codes), 1) for i in range(info.width_in)]
    firing = [i for i in sorted(range(info.width_in), key=lambda i: (-rho[i], i)) if rho[i] > 0][: info.k_prompt]
    if made.gates is None:
        s = a[firing].sum(dim=0).tolist()
    else:
        opened = torch.zeros(info.pairs, info.width_in, dtype=torch.float64)
        opened[made.gates[0], made.gates[1]] = 1
        part = opened[:, firing]
        s = (a[firing].T @ torch.linalg.pinv(part.T @ part / info.pairs) @ torch.ones(len(firing), dtype=torch.float64)).tolist()
    ablate = [j for j in sorted(range(info.width_out), key=lambda j: (s[j], j)) if s[j] < 0 or not info.signed][: info.k_diff]
    augment = [j for j in sorted(range(info.width_out), key=lambda j: (-s[j], j)) if s[j] > 0 or not info.signed][: info.k_diff]
    return ablate if info.mode != "augment" else [], augment if info.mode != "ablate" else []


def plain_edit(sae_out: SAE, h: Tensor, ablate: list[int], augment: list[int], alpha: float) -> Tensor:
    """One token; a negative strength swaps the sets."""
    if alpha < 0:
        ablate, augment, alpha = augment, ablate, -alpha
    f = sae_out.encode(h)
    edited, largest, shared = f.clone(), f.max(), set(ablate) & set(augment)
    for j in ablate:
        if f[j] > 0 and j not in shared:
            edited[j] = max(f[j] - alpha * largest, torch.tensor(0.0))
    for j in augment:
        if f[j] > 0 and j not in shared:
            edited[j] = f[j] + alpha * largest
    return h + (edited - f) @ sae_out.W_dec


def states(seed: int) -> Tensor:
    return torch.randn(3, 10, 32, generator=torch.Generator().manual_seed(seed))


CHANGES = [
    {},
    {"mode": "augment"},
    {"mode": "both"},
    {"mode": "both", "demix": True},
    {"mode": "both", "k_prompt": 500, "k_diff": 80},
    {"mode": "both", "k_prompt": 1, "k_diff": 30, "signed": False},  # a quarter of the scores are not 0
    {"mode": "augment", "k_prompt": 500, "k_diff": 62, "signed": False},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_sets_of_a_prompt_equal_the_definition(any_sae: SAE, sae: SAE, changes: dict[str, Any]) -> None:
    """In a padded batch; what the template wrote does not count."""
    made = make_map(any_sae, sae, **changes)
    context = Conditional(made, any_sae, sae).context(states(1), IDS, PROMPT)
    k = made.info.k_diff
    for row, (found, content) in enumerate(zip(context.tolist(), CONTENT, strict=True)):
        ablate, augment = plain_sets(made, any_sae, states(1)[row, content])
        assert [j for j in found[:k] if j >= 0] == ablate
        assert [j for j in found[k:] if j >= 0] == augment
        assert ablate or augment


@pytest.mark.parametrize("alpha", [0.3, 5.0, -0.3])
@pytest.mark.parametrize(("mode", "signed"), [("ablate", True), ("augment", True), ("both", True), ("both", False)])
def test_the_edit_equals_the_definition(sae: SAE, any_sae: SAE, mode: str, signed: bool, alpha: float) -> None:
    """At live tokens; of several strengths each row follows its own. Sets that are not signed share features."""
    made = make_map(sae, any_sae, mode=mode, k_diff=12 if signed else 40, signed=signed)
    edit, hidden = Conditional(made, sae, any_sae), states(3)
    context = edit.context(states(1), IDS, PROMPT)
    live = PROMPT & (torch.arange(10) > 6)
    state, owner = edit.edit_state(torch.tensor([[alpha], [0.0]])), torch.tensor([[0], [1], [0]])
    edited = edit.edit(hidden, None, state, owner, live, context)
    assert torch.equal(edited[~live], hidden[~live])
    assert torch.equal(edited[1], hidden[1])
    for row in (0, 2):
        sets, moved = plain_sets(made, sae, states(1)[row, CONTENT[row]]), 0
        assert bool(set(sets[0]) & set(sets[1])) != signed
        for t in live[row].nonzero()[:, 0].tolist():
            expected = plain_edit(any_sae, hidden[row, t], *sets, alpha)
            torch.testing.assert_close(edited[row, t], expected, rtol=1e-5, atol=1e-5)
            moved += not torch.equal(expected, hidden[row, t])
        assert moved


def test_negative_strength_swaps_the_sets(sae: SAE) -> None:
    made = make_map(sae, sae, mode="both")
    edit, hidden, live = Conditional(made, sae, sae), states(3), PROMPT
    context = edit.context(states(1), IDS, PROMPT)
    swapped = context.roll(made.info.k_diff, dims=1)
    one, other = (edit.changes(hidden, torch.tensor([u]), live, c) for u, c in ((-0.4, context), (0.4, swapped)))
    assert torch.equal(one, other) and one.abs().max() > 0.1


TURNS = Template(special=(0, 1, 2, 5), opening=(2, 4, 9), answering=(5, 4, 8), following=(5, 4, 9), closing=(5, 4, 8))
THREE = [[2, 4, 9, 20, 5, 4, 8, 30, 5, 4, 9, 21, 22, 5, 4, 8, 31, 5, 4, 9, 23, 5, 4, 8], [0] * 17 + [2, 4, 9, 24, 5, 4, 8]]


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, [[3, 7, 11, 12, 16, 20], [20]]),
        ({"count_template": True}, [[*range(24)], [*range(17, 24)]]),
        ({"turns": "last"}, [[20], [20]]),
        ({"turns": "last", "count_template": True}, [[20, 21, 22, 23], [*range(17, 24)]]),
    ],
    ids=str,
)
def test_which_tokens_of_a_conversation_count(sae: SAE, changes: dict[str, Any], counts: list[list[int]]) -> None:
    made = make_map(sae, sae, mode="both", template=TURNS, **changes)
    ids, g = torch.tensor(THREE), torch.Generator().manual_seed(6)
    hidden = torch.randn(2, 24, 32, generator=g)
    assert [row.nonzero()[:, 0].tolist() for row in made.info.counts(ids, ids != 0)] == counts
    context = Conditional(made, sae, sae).context(hidden, ids, ids != 0)
    for row, (found, content) in enumerate(zip(context.tolist(), counts, strict=True)):
        ablate, augment = plain_sets(made, sae, hidden[row, content])
        assert [[j for j in part if j >= 0] for part in (found[:4], found[4:])] == [ablate, augment]
        assert ablate and augment
    early = ids.new_ones(1, 24, dtype=torch.bool) & (torch.arange(24) < 16)  # the second turn, though a third is in the row
    if changes.get("turns") == "last":
        assert made.info.counts(ids[:1], early)[0].nonzero()[:, 0].tolist()[:2] == [11, 12]


def test_a_prompt_without_content_is_not_edited(sae: SAE) -> None:
    made = make_map(sae, sae, mode="both")
    context = Conditional(made, sae, sae).context(states(1), torch.zeros_like(IDS), PROMPT)
    assert (context == -1).all()


def test_ties_go_to_the_lower_feature(sae: SAE) -> None:
    """Every entry of A alike: the first features of those that A speaks of."""
    made = make_map(sae, sae)
    alike = replace(made, entries=replace(made.entries, values=torch.full_like(made.entries.values, -0.1)))
    flat = ConditionalMap(
        made.info, Entries(torch.arange(64).repeat_interleave(64), torch.arange(64).repeat(64), torch.full((4096,), -0.1))
    )
    context = Conditional(flat, sae, sae).context(states(1), IDS, PROMPT)
    assert context[:, :4].tolist() == [[0, 1, 2, 3]] * 3
    assert Conditional(alike, sae, sae).digest != Conditional(made, sae, sae).digest


def test_features_that_the_map_does_not_speak_of_tie_at_zero(sae: SAE) -> None:
    """Without signs they fill the sets, the lowest first; with signs they stay out."""
    few = Entries(torch.arange(64).repeat_interleave(2), torch.tensor([5, 9]).repeat(64), torch.tensor([-0.1, 0.2]).repeat(64))
    expected = {False: [5, 0, 1, 2, 9, 0, 1, 2], True: [5, -1, -1, -1, 9, -1, -1, -1]}
    for signed, sets in expected.items():
        made = ConditionalMap(make_map(sae, sae, mode="both", signed=signed).info, few)
        assert Conditional(made, sae, sae).context(states(1), IDS, PROMPT).tolist() == [sets] * 3
        found = [*plain_sets(made, sae, states(1)[0, CONTENT[0]])]
        assert [j for j in sets if j >= 0] == found[0] + found[1]


def test_other_autoencoders_are_refused(sae: SAE) -> None:
    made = make_map(sae, sae)
    narrow = sae.columns(torch.arange(32))
    with pytest.raises(
        YapoError, match=r"random jumprelu: 32 features, but the map was made with 64 features of in .* at layer 0"
    ):
        Conditional(made, narrow, sae)
    with pytest.raises(YapoError, match=r"64 features of out .* at layer 2; give that autoencoder"):
        Conditional(made, sae, narrow)
    with pytest.raises(YapoError, match=r"another autoencoder .*64 features of out"):
        Conditional(made, sae, replace(sae, b_enc=sae.b_enc + 1))


def test_a_map_from_before_the_readings_were_settings_is_read(sae: SAE) -> None:
    made = make_map(sae, sae)
    old = made.header()["map"]
    for name in ("gate_fires", "count_template", "count_end", "edits", "signed", "turns"):
        old.pop(name)
    assert ConditionalMap.read(made.tensors(), old).info == made.info


@pytest.mark.parametrize("demix", [False, True])
def test_a_map_is_read_as_it_was_written(sae: SAE, demix: bool) -> None:
    made = make_map(sae, sae, demix=demix)
    read = ConditionalMap.read(made.tensors(), made.header()["map"])
    assert read.info == made.info
    assert read.digest == made.digest
    again = Conditional(read, sae, sae)
    assert torch.equal(again.context(states(1), IDS, PROMPT), Conditional(made, sae, sae).context(states(1), IDS, PROMPT))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _t, h: h.update(mode="forget"), "mode=forget: choose one of ablate, augment, both"),
        (lambda _t, h: h.update(edits="prompt"), "edits=prompt: choose one of answer, all"),
        (lambda _t, h: h.update(turns="first"), "turns=first: choose one of all, last"),
        (lambda t, _h: t.pop("gate_pairs"), "a part of its map is missing"),
        (
            lambda t, _h: t.update(gate_pairs=t["gate_pairs"][1:]),
            r"its map has \d+ gate_pairs but \d+ gate_features",
        ),
        (lambda t, _h: t.update(gate_pairs=t["gate_pairs"] + 1), "the gate_pairs of its map do not fit the 9 that its header"),
        (lambda t, _h: t.update(gate_features=t["gate_features"] - 9), "the gate_features of its map do not fit the 64 that"),
        (lambda t, _h: t.pop("map_values"), "a part of its map is missing"),
        (lambda _t, h: h.pop("k_diff"), "a part of its map is missing"),
        (lambda _t, h: h.update(more=1), "a part of its map is missing or foreign"),
        (lambda t, _h: t.update(map_columns=t["map_columns"] + 60), "the columns of its map do not fit the 64 features"),
        (lambda t, _h: t.update(map_rows=t["map_rows"][1:]), "the rows of its map do not fit the 64 features"),
    ],
)
def test_damaged_maps_are_refused(sae: SAE, change: Callable[..., Any], message: str) -> None:
    made = make_map(sae, sae, demix=True)
    tensors, header = made.tensors(), made.header()["map"]
    change(tensors, header)
    with pytest.raises(YapoError, match=message):
        ConditionalMap.read(tensors, header)
