"""The whole benchmark on a world of a few cases: everything runs, is kept, is scored against the truth and told."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from entrust.errors import InvalidInputError
from training.benchmark import plan
from training.benchmark.ablations import ABLATIONS
from training.benchmark.batches import Changes, PairSource
from training.benchmark.claims import FLOOR
from training.benchmark.evaluate import TESTS, Extent, evaluate, methods, score_split
from training.benchmark.fits import fit_piece
from training.benchmark.plots import draw_reliability
from training.benchmark.report import BEGIN, END, write_report
from training.benchmark.scores import load, save
from training.benchmark.store import stored
from training.benchmark.truth import world_truth
from training.datasets.phantoms.world.case import DOMAINS, get_domain, make_case
from training.datasets.phantoms.world.splits import SPLITS, TEST, TRAIN
from training.scorecard import oracle, score


def test_every_method_is_scored_kept_and_told(folder: Path, tmp_path: Path) -> None:
    found = methods("lesion", 0, plan.QUICK, folder, Extent(3, 2, 1))
    assert [m.name for m in found] == ["entrust", "unet-ce", "tta"]  # the others' fits are not finished
    scores = score_split(found, "lesion", TEST, 2)
    assert {"oracle", "entrust+head", "entrust+nested", "unet-ce+temperature", "tta+raw"} <= set(scores)
    assert scores["oracle"].numbers["probability_error.foreground"].max() == 0
    same = scores["entrust+raw"].numbers["dice"], scores["entrust+head"].numbers["dice"]
    np.testing.assert_array_equal(*same)  # no calibration moves the mask
    science = tmp_path / "benchmarks" / "science"
    save(science / "lesion-test-0.npz", scores)
    back = load(science / "lesion-test-0.npz")
    np.testing.assert_allclose(back["oracle"].numbers["ged"], scores["oracle"].numbers["ged"], rtol=1e-3)
    kept, scored = (found["tta+raw"] for found in (back, scores))
    np.testing.assert_allclose(kept.diagram.count, scored.diagram.count, rtol=1e-3)
    np.testing.assert_allclose(kept.diagrams.expected_error, scored.diagrams.expected_error, atol=1e-3)
    (tmp_path / "benchmarks.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    text = write_report(science, tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "old" not in page
    assert text in page
    rows = json.loads((tmp_path / "benchmarks" / "science.json").read_text())
    assert {"claim", "task", "value", "low", "high", "bar", "met", "command", "machine"} <= set(rows[0])
    unmeasured = [r for r in rows if r["against"] == "ensemble+raw"]
    assert unmeasured
    assert all(r["met"] is None for r in unmeasured)
    floors = [r for r in rows if r["bar"] == FLOOR]
    assert floors
    assert all(r["value"] is not None and r["met"] is None for r in floors)
    assert (tmp_path / "images" / "science-reliability.png").stat().st_size > 5000
    axis = Figure().subplots()
    draw_reliability(axis, back)
    drawn = {str(line.get_label()): line.get_xydata() for line in axis.lines}
    assert {"oracle", "entrust+head", "unet-ce+temperature"} <= set(drawn)
    assert all(len(points) > 1 and ((points >= 0) & (points <= 1)).all() for points in drawn.values())


def test_a_method_that_is_fitted_later_is_added_to_what_is_kept(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.benchmark.evaluate.TESTS", TESTS[:2])
    extent, late = Extent(2, 1, 1), ("unet-ce+", "oracle")
    evaluate("lesion", 0, plan.QUICK, folder, extent, tmp_path)
    paths = {split.name: tmp_path / f"lesion-{split.name}-0.npz" for split in TESTS[:2]}
    first = {name: load(path) for name, path in paths.items()}
    for name, path in paths.items():
        save(path, {line: found for line, found in first[name].items() if not line.startswith(late)})
    evaluate("lesion", 0, plan.QUICK, folder, extent, tmp_path)
    for name, path in paths.items():
        again = load(path)
        assert again.keys() == first[name].keys()
        for line, found in first[name].items():
            np.testing.assert_allclose(again[line].numbers["dice"], found.numbers["dice"], rtol=1e-3)
    with pytest.raises(InvalidInputError, match="does not hold 2 cases"):
        evaluate("lesion", 0, plan.QUICK, folder, Extent(2, 2, 1), tmp_path)


def test_a_fit_is_taken_from_where_it_lies(folder: Path) -> None:
    again = [fit_piece(plan.Piece("lesion", "entrust", 0), plan.QUICK, folder).state_dict() for _ in range(2)]
    for name, value in again[0].items():
        torch.testing.assert_close(again[1][name], value, rtol=0, atol=0)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_oracle_is_perfect_where_it_can_be(domain: str) -> None:
    case = make_case(get_domain(domain), TEST, 2)
    truth = world_truth(case, 16)
    numbers = score(oracle(truth), truth).numbers
    assert numbers["probability_error.foreground"] == 0
    np.testing.assert_allclose(truth.blob_fractions(truth.labels), case.blob_fractions(case.labels))
    if len(case.blobs):
        assert numbers["attribution"] == 1
        assert numbers["conflict_aupr.image"] == 1


def test_batches_depend_on_seed_and_iteration_alone(tmp_path: Path) -> None:
    cases = stored(tmp_path, "cardiac", TRAIN, 5)

    def source(seed: int) -> PairSource:
        return PairSource(cases, offsets=(-1, 0, 1), changes=Changes(whole=0.0), batch=6, seed=seed)

    a, b, other = source(1)(7), source(1)(7), source(2)(7)
    torch.testing.assert_close(a.images, b.images, rtol=0, atol=0)
    assert not torch.equal(a.images, other.images)
    assert a.images.shape == (6, 3, 3, 48, 48)
    assert a.label.dtype == torch.int64
    absent = a.presence == 0
    assert float(a.images[absent].abs().sum()) == 0


def test_some_batches_are_whole_planes_of_as_many_pixels(tmp_path: Path) -> None:
    cases = stored(tmp_path, "lesion", TRAIN, 4)
    source = PairSource(cases, offsets=(-1, 0, 1), changes=Changes(whole=0.5), batch=16, seed=0)
    drawn = [source(iteration) for iteration in range(12)]
    assert {tuple(batch.label.shape) for batch in drawn} == {(16, 48, 48), (4, 96, 96)}
    assert len({batch.label.numel() for batch in drawn}) == 1


def test_pairs_lie_on_each_other(tmp_path: Path) -> None:
    cases = stored(tmp_path, "lesion", TRAIN, 4)
    calm = Changes(gain=0, offset=0, noise=0, shading=0, shift=0, edit=0, all_modalities=1.0)
    source = PairSource(cases, offsets=(-1, 0, 1), changes=calm, batch=8, seed=0)
    for iteration in range(4):
        batch = source(iteration)
        first, second = batch.images[0::2], batch.images[1::2]
        # the first slice's neighbour is the second slice, above or below
        up, down = first[:, :, 2] - second[:, :, 1], first[:, :, 0] - second[:, :, 1]
        distance = torch.minimum(up.abs().amax(dim=(1, 2, 3)), down.abs().amax(dim=(1, 2, 3)))
        assert float(distance.max()) < 1e-5


def test_pieces_of_seeds_share_members() -> None:
    listed = plan.pieces(("lesion",), (0, 1))
    assert len(listed) == len(set(listed))
    members = {p.seed for p in listed if p.method == "unet-ce"}
    assert members == set(range(6))
    methods_of = {p.method for p in listed}
    assert set(ABLATIONS) <= methods_of
    assert not set(ABLATIONS) & {p.method for p in plan.pieces(("brain",), (0,))}
    assert sum(s.draws > 1 for s in SPLITS.values()) == 9
