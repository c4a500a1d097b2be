"""The further tables: measured on quick fits, kept, told; and what they compute, where it is known in closed form."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from entrust.networks.segdiff import Denoiser, SegDiffConfig
from training.benchmark import plan
from training.benchmark.report import BEGIN, END, write_report
from training.benchmark.tables import ablations, cost, decisions, hypotheses, missing, probes, registry, served, steps
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Together, gather, load, save
from training.benchmark.tables.ways import WAYS, Apart
from training.datasets.phantoms.world.case import get_domain, make_case
from training.datasets.phantoms.world.splits import TEST

pytestmark = pytest.mark.timeout(900)  # dozens of volumes


@pytest.fixture(scope="module")
def science(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which tables are kept."""
    return tmp_path_factory.mktemp("docs") / "benchmarks" / "science"


@pytest.fixture(scope="module")
def kept(folder: Path, science: Path) -> Callable[[str], Kept]:
    """Measures a table of two cases, or reads it where it is kept."""

    def measured(name: str) -> Kept:
        registry.keep(name, Bench("lesion", 0, plan.QUICK, folder, cases=2, calibration=2), science)
        return Kept("lesion", {0: load(science / f"{name}-lesion-0.npz")}, "here")

    return measured


def test_every_subset_of_modalities_is_scored(kept: Callable[[str], Kept]) -> None:
    found = kept("missing")
    assert len(found.lines) == 2 * (7 + 1)  # two methods are fitted
    everything = found.by_seed[0]["entrust: dwi+adc+flair"]
    assert np.isfinite([everything[name] for name in missing.COLUMNS]).all()
    assert np.isnan(found.by_seed[0]["unet-ce: dwi"]["width"]).all()  # it has no interval
    parts = [
        found.by_seed[0][line]["dice"] for line in found.lines if line.startswith("entrust: ") and "mean" not in line
    ]
    np.testing.assert_allclose(
        found.by_seed[0][f"entrust: {missing.INCOMPLETE}"]["dice"], np.mean(parts[1:], axis=0), rtol=1e-5
    )
    unmeasured = [row for row in missing.claims(found) if row.against == "ensemble+temperature"]
    assert unmeasured
    assert all(row.met is None for row in unmeasured)


def test_the_mask_of_most_expected_dice_has_it_among_all_masks() -> None:
    rng = np.random.default_rng(20)
    for _ in range(20):
        p = rng.beta(0.5, 0.8, 12)
        truths = ((np.arange(2**12)[:, None] >> np.arange(12)) & 1).astype(bool)
        chances = np.where(truths, p, 1.0 - p).prod(axis=1)

        def expected(mask: np.ndarray, truths: np.ndarray = truths, chances: np.ndarray = chances) -> np.ndarray:
            shared = (mask[..., None, :] & truths).sum(axis=-1)
            both = mask.sum(axis=-1)[..., None] + truths.sum(axis=-1)
            return np.asarray((2.0 * shared / np.maximum(both, 1) * chances).sum(axis=-1))

        ranked = np.argsort(-p)
        nested = np.stack([np.isin(np.arange(12), ranked[:n]) for n in range(1, 13)])
        assert expected(decisions.most_dice_expected(p)) >= expected(nested).max() - 0.01


def test_a_mask_of_nothing_is_empty_and_of_certainty_itself() -> None:
    assert not decisions.most_dice_expected(np.zeros((2, 3))).any()
    certain = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(decisions.most_dice_expected(certain), certain > 0.0)


def test_structures_stay_nested() -> None:
    p = np.random.default_rng(21).dirichlet((2.0, 1.0, 1.0), (4, 5, 6)).transpose(3, 0, 1, 2)
    found = decisions.label_map(p)
    for level in (1, 2):
        assert (found[decisions.most_dice_expected(p[level:].sum(axis=0))] >= level).all()


def test_both_masks_are_scored(kept: Callable[[str], Kept]) -> None:
    found = kept("decisions")
    assert found.lines == [
        decisions.line(method, rule)
        for method in ("entrust", "unet-ce")  # two methods are fitted
        for rule in (decisions.PROBABLE, decisions.EXPECTED)
    ]
    rows = {row.against: row for row in decisions.claims(found)}
    ours, theirs = (
        found.by_seed[0][decisions.line(method, decisions.EXPECTED)]["dice"] for method in ("entrust", "unet-ce")
    )
    assert rows["unet-ce: most Dice expected"].value == pytest.approx((ours - theirs).mean(), abs=1e-3)
    assert rows["ensemble: most probable"].met is None


def test_domains_are_averaged() -> None:
    ours, theirs = decisions.line("entrust", decisions.EXPECTED), decisions.line("ensemble", decisions.PROBABLE)
    rng = np.random.default_rng(22)
    gains = {"brain": 0.04, "lesion": -0.01}
    parts = []
    for domain, gain in gains.items():
        dice = rng.uniform(0.6, 0.9, 30)
        parts.append(Kept(domain, {0: {ours: {"dice": dice + gain}, theirs: {"dice": dice}}}, "here"))
    (row,) = (r for r in decisions.claims(Together(parts, "here")) if r.value is not None)
    assert (row.task, row.against, row.met) == ("all", theirs, True)
    assert row.value == pytest.approx(0.015)


def test_a_modality_that_is_left_out_is_absent() -> None:
    case = make_case(get_domain("lesion"), TEST, 0)
    alone = missing.only(case, (1,))
    assert not alone.images[[0, 2]].any()
    assert not alone.presence[[0, 2]].any()
    np.testing.assert_array_equal(alone.images[1], case.images[1])
    assert case.presence.all()


def test_order_counts_the_pairs_whose_smaller_set_has_more_doubt() -> None:
    doubt = {(0,): 3.0, (1,): 1.0, (0, 1): 2.0}  # with 0 alone more doubt than with both, with 1 alone less
    numbers = {missing.line("entrust", tuple("ab"[i] for i in s)): {"entropy": np.full(4, d)} for s, d in doubt.items()}
    found = missing.in_order(numbers, "entrust", ("a", "b"), "entropy")
    assert found is not None
    assert found.value == 0.5
    assert missing.in_order(numbers, "entrust", ("a", "b"), "width") is None


def test_steps_are_taken_by_both_stages(kept: Callable[[str], Kept]) -> None:
    found = kept("steps")
    assert found.lines == list(steps.SAMPLERS)
    ged = {line: found.by_seed[0][line]["ged"] for line in found.lines}
    assert len({tuple(values) for values in ged.values()}) == len(ged)  # every way draws its own
    rows = list(steps.claims(found))
    assert all(row.value is not None for row in rows)


def test_an_idea_that_was_not_fitted_is_left_out(kept: Callable[[str], Kept]) -> None:
    found = kept("ablations")
    assert found.lines == [
        "entrust+head", "entrust+raw", "entrust-without-gate+head", "entrust-without-probes+head"
    ]  # fmt: skip
    whole, headless = (found.by_seed[0][line] for line in (ablations.WHOLE, ablations.HEADLESS))
    np.testing.assert_array_equal(whole["dice"], headless["dice"])
    text = ablations.tell(found)
    assert "without probing" in text
    assert "without F_cf" not in text


def test_the_mixture_lies_between_its_parts(kept: Callable[[str], Kept]) -> None:
    found = kept("hypotheses")
    assert len(found.lines) == len(hypotheses.MEANS) * len(hypotheses.COUNTS)
    kappa = found.by_seed[0][hypotheses.line("mixture", 8)]["kappa"]
    assert ((kappa >= 0) & (kappa <= 1)).all()
    hard, soft = (found.by_seed[0][hypotheses.line(mean, 4)]["nll.foreground"] for mean in ("hard", "soft"))
    assert (hard > soft).all()  # a frequency of four is sure and wrong somewhere


def test_the_insides_of_enfuse_are_probed(kept: Callable[[str], Kept]) -> None:
    found = kept("probes")
    assert found.lines == [probes.SHARED, probes.CUES, probes.CONFLICT, probes.GATE]
    for line in (probes.SHARED, probes.CUES):
        values = found.by_seed[0][line]["modality"]
        assert ((values >= 0) & (values <= 1)).all()
    assert np.isnan(found.by_seed[0][probes.GATE]["modality"]).all()
    assert np.isfinite(found.by_seed[0][probes.CONFLICT]["conflict"]).any()


def inside(rng: np.random.Generator, num: int = 300) -> probes.Insides:
    """Parts that hold what they should: F_u the modality, F_cf the conflict, F_c neither."""
    conflict = rng.random(num) < 0.3
    noise = rng.standard_normal((num, 3, 4))
    told = noise.copy()
    told[:, :, 0] += 6.0 * np.arange(3)
    shown = rng.standard_normal((num, 2)) + 4.0 * conflict[:, None]
    return probes.Insides(
        {probes.SHARED: noise, probes.CUES: told},
        {probes.SHARED: noise[:, 0], probes.CUES: told[:, 0], probes.CONFLICT: shown, probes.GATE: shown[:, :1]},
        conflict,
    )


def test_probes_find_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    found = Kept("lesion", {0: probes.judge([inside(rng) for _ in range(4)], [inside(rng) for _ in range(6)])}, "")
    assert [row.met for row in probes.claims(found)] == [True, True, True, True]
    numbers = found.by_seed[0]
    assert numbers[probes.SHARED]["modality"].mean() == pytest.approx(1 / 3, abs=0.08)
    assert numbers[probes.SHARED]["conflict"].mean() == pytest.approx(0.5, abs=0.08)


def test_the_probe_is_the_discriminant_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    classes = rng.integers(3, size=600)
    x = rng.standard_normal((600, 5)) @ rng.standard_normal((5, 5)) + 0.8 * classes[:, None] * rng.standard_normal(5)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(x, classes)
    scores = probes.Discriminant.fit(x, classes, 3).scores(x)
    probability = np.exp(scores - scores.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability, theirs.predict_proba(x), atol=0.02)


def test_numbers_come_back_and_lines_are_paired(tmp_path: Path) -> None:
    both = [{"a": {"x": float(i)}, "b": {"x": i + 1.0, "y": 1.0}} for i in range(8)]
    save(tmp_path / "t.npz", gather([*both, {"a": {"x": 99.0}}]))
    back = Kept("lesion", {0: load(tmp_path / "t.npz")}, "")
    assert back.lines == ["a", "b"]
    np.testing.assert_array_equal(back.by_seed[0]["b"]["y"], [1.0] * 8 + [np.nan])
    difference = back.compared("a", "b", "x", "difference")
    assert difference is not None
    assert difference.value == -1.0  # the ninth case has no b
    ratio = back.compared("b", "a", "x", "ratio")
    assert ratio is not None
    assert ratio.value == pytest.approx(36 / 28)
    assert back.compared("a", "missing", "x", "ratio") is None


def test_one_hypothesis_at_a_time_gives_the_same_answer() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(SegDiffConfig(conditioning=8, widths=(8, 12), embedding=16)).eval()
    x, clean, conditioning = torch.randn(2, 3, 2, 16, 16), torch.randn(2, 3, 2, 16, 16), torch.randn(2, 8, 8, 8)
    t = torch.tensor([[1.0], [0.4]])
    with torch.inference_mode():
        torch.testing.assert_close(Apart(denoiser)(x, clean, t, conditioning), denoiser(x, clean, t, conditioning))


def test_served_memory_is_held_against_as_many_slices(tmp_path: Path) -> None:
    held = [
        served.Held("entrust", "one at a time", 1, [6.0], [14.0, 15.0, 13.0]),
        served.Held("entrust", "one at a time", 8, [6.0], [85.0]),
        served.Held("ensemble", "its members", 8, [17.0], [100.0]),
        served.Held("ensemble", "its members", 1, [17.0], [30.0, 28.0, 40.0]),
    ]
    path = served.path_of(tmp_path, "lesion")
    served.save(path, served.ServedMemory("lesion", "a machine", held))
    memory = served.load(path)
    alone, eight = memory.claims()
    assert (alone.value, alone.low, alone.high, alone.met) == (0.4667, 0.325, 0.5357, True)
    assert (eight.value, eight.met, eight.machine) == (0.85, False, "a machine")
    shared, ((domain, (told,), rows),) = registry.read(tmp_path)
    assert (shared, domain, rows) == ([], "lesion", [alone, eight])
    assert "| entrust | one at a time | 1 | 6 | 14 | 0.47 |" in told


def test_everything_is_told_and_the_cost_beside_it(science: Path, kept: Callable[[str], Kept]) -> None:
    for name in registry.TABLES:
        kept(name)
    one = cost.measure("lesion", plan.QUICK, "here", processes=1, repeats=1, only=("unet-ce",)).runs["unet-ce"]
    assert one[0].parameters > 1000
    assert one[0].flops > 1e6
    assert one[0].peak_mib > max(one[0].weights_mib, 0.1)
    assert one[0].cpu_seconds > 0
    costs = cost.Costs("lesion", "a machine", dict.fromkeys(WAYS, one))
    cost.save(science / "cost-lesion.json", costs)
    assert cost.load(science / "cost-lesion.json") == costs
    docs = science.parents[1]
    (docs / "benchmarks.md").write_text(f"{BEGIN}\n{END}\n")
    text = write_report(science, docs)
    for title in ("Missing modalities", "Few steps", "Ablations", "Calibration and K", "Inside EnFuse", "Cost"):
        assert f"**{title}**" in text
    rows = json.loads((docs / "benchmarks" / "science.json").read_text())
    memory = [row for row in rows if row["claim"].startswith("cost")]
    assert all(row["value"] == 1.0 and row["met"] is False and row["machine"] == "a machine" for row in memory)
    assert len(memory) == len(cost.COMPARISONS)
