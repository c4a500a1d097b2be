"""Rivals where the answer is known: limits, integrals, other people's losses, and sums over the power set."""

from itertools import combinations, product
from math import exp, log

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss
from scipy import integrate, stats
from torch import Tensor, nn
from torch.nn import functional as F

from training.augment import Batch
from training.baselines.dempster_shafer import (
    NUM_FEATURES,
    EvidentialFusion,
    EvidentialLayer,
    Masses,
    dempster_conflict,
    discounted_log_plausibility,
)
from training.baselines.dirichlet import concentration, expected_cross_entropy, misleading_evidence, vacuity
from training.baselines.nested import nested_hypotheses
from training.baselines.passes import turn, turn_back
from training.baselines.rival import SMALL_WIDTHS, rivals
from training.baselines.ssn import LogitNormal, likelihood_loss
from training.baselines.unet import EarlyFusionConfig, cross_entropy_loss, dice_cross_entropy_loss

SMALL = rivals(SMALL_WIDTHS)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def labels(*shape: int, classes: int = 3) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(1))


class PixelByPixel(nn.Module):
    """A network that sees nothing beside a pixel, and therefore commutes with turning and mirroring."""

    def forward(self, images: Tensor, presence: Tensor) -> Tensor:
        centre = (images * presence)[:, :, images.shape[2] // 2].sum(dim=1)
        return torch.stack([-centre, centre, centre.square()], dim=1)


class Fixed(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images: Tensor, presence: Tensor) -> Tensor:
        return self.logits


# the losses of the U-Nets


@pytest.mark.parametrize("classes", [2, 4])
def test_dice_and_cross_entropy_is_monais(classes: int) -> None:
    logits, label = rand(3, classes, 16, 16), labels(3, 16, 16, classes=classes)
    theirs = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    shown = label[:, None].expand(-1, 2, -1, -1)
    batch = Batch(rand(3, 2, 1, 16, 16), torch.ones(3, 2, 1, 16, 16), label, torch.zeros(3, 16, 16), shown)
    ours = dice_cross_entropy_loss(Fixed(logits), batch, 0.0, torch.Generator())["total"]
    assert float(ours.detach()) == pytest.approx(float(theirs(logits, label[:, None])), abs=1e-5)
    plain = cross_entropy_loss(Fixed(logits), batch, 0.0, torch.Generator())["total"]
    assert float(plain.detach()) == pytest.approx(float(F.cross_entropy(logits, label)), abs=1e-6)


# several answers


def test_an_ensembles_marginal_is_its_members_mean() -> None:
    images = rand(2, 2, 3, 32, 32)
    presence = torch.ones_like(images)
    ensemble, single = SMALL["ensemble"], SMALL["unet-ce"]
    torch.manual_seed(0)
    members = [single.build(2, 3, 3).eval() for _ in range(ensemble.num_modules)]
    together = ensemble.predict(members, images, presence, num_hypotheses=8, seed=0)
    alone = [single.predict([m], images, presence, num_hypotheses=8, seed=0).marginal for m in members]
    assert together.samples is not None
    assert torch.equal(together.samples, torch.stack(alone, dim=1))
    assert torch.allclose(together.marginal, sum(alone) / len(alone), atol=1e-6)  # type: ignore[arg-type]


def test_augmenting_an_equivariant_network_changes_nothing() -> None:
    images = rand(2, 2, 3, 8, 12)
    presence = (rand(*images.shape, seed=2) > -0.5).float()
    draw = SMALL["tta"].predict([PixelByPixel()], images, presence, num_hypotheses=1, seed=0)
    plain = SMALL["unet-ce"].predict([PixelByPixel()], images, presence, num_hypotheses=1, seed=0).marginal
    assert draw.samples is not None
    assert draw.samples.shape[1] == 8
    assert torch.allclose(draw.samples, plain[:, None].expand_as(draw.samples), atol=1e-6)


def test_the_eight_turns_differ_and_are_undone() -> None:
    image = torch.arange(9.0).reshape(3, 3)
    turned = {tuple(turn(image, q, flip).flatten().tolist()) for q in range(4) for flip in (False, True)}
    assert len(turned) == 8
    wide = rand(2, 3, 4, 6)
    assert all(torch.equal(turn_back(turn(wide, q, f), q, f), wide) for q in range(4) for f in (False, True))


# stochastic segmentation networks


def test_without_covariance_the_likelihood_is_the_cross_entropy() -> None:
    mean, label = rand(2, 3, 6, 6), labels(2, 6, 6)
    certain = LogitNormal(mean, torch.zeros_like(mean), torch.zeros(2, 0, 3, 6, 6))  # rank 0
    logits = certain.logits(rand(2, 5, 0), rand(2, 5, 3, 6, 6))
    assert float(likelihood_loss(logits, label)) == pytest.approx(float(F.cross_entropy(mean, label)), abs=1e-6)


def test_the_likelihood_is_the_mean_over_draws_of_whole_images() -> None:
    logits, label = rand(1, 4, 2, 3, 3), labels(1, 3, 3, classes=2)
    likelihoods = [exp(-9 * float(F.cross_entropy(logits[:, k], label))) for k in range(4)]
    assert float(likelihood_loss(logits, label)) == pytest.approx(-log(np.mean(likelihoods)) / 9, abs=1e-5)


def test_logits_have_the_covariance_they_should() -> None:
    mean, deviation, factor = rand(1, 2, 1, 2), rand(1, 2, 1, 2, seed=1).abs(), rand(1, 3, 2, 1, 2, seed=2)
    k = 200_000
    draws = LogitNormal(mean, deviation, factor).logits(rand(1, k, 3, seed=3), rand(1, k, 2, 1, 2, seed=4))
    flat = draws.reshape(k, 4).numpy()
    p = factor.reshape(3, 4).numpy()
    assert np.allclose(flat.mean(axis=0), mean.flatten(), atol=0.03)
    assert np.allclose(np.cov(flat.T), p.T @ p + np.diag(deviation.flatten().numpy() ** 2), atol=0.1)


# evidential classification


def test_no_evidence_is_full_vacuity_and_evidence_takes_it_away() -> None:
    nothing = concentration(torch.full((1, 3, 2, 2), -50.0))
    assert torch.allclose(vacuity(nothing), torch.ones(1, 2, 2))
    assert torch.allclose(nothing / nothing.sum(dim=1, keepdim=True), torch.full((1, 3, 2, 2), 1 / 3))
    logits = rand(1, 3, 2, 2)
    assert (vacuity(concentration(logits + 1.0)) < vacuity(concentration(logits))).all()


def test_the_risk_is_the_expectation_under_the_distribution() -> None:
    a, b = 3.5, 1.7
    alpha = torch.tensor([a, b]).view(1, 2, 1, 1)
    expected, _ = integrate.quad(lambda p: -log(p) * stats.beta.pdf(p, a, b), 0.0, 1.0)
    risk = expected_cross_entropy(alpha, torch.zeros(1, 1, 1, dtype=torch.int64))
    assert float(risk) == pytest.approx(expected, abs=1e-5)


def test_misleading_evidence_is_a_divergence_of_the_wrong_classes_alone() -> None:
    a = 4.0
    alpha = torch.tensor([9.0, a]).view(1, 2, 1, 1)
    first, second = torch.zeros(1, 1, 1, dtype=torch.int64), torch.ones(1, 1, 1, dtype=torch.int64)
    assert float(misleading_evidence(alpha, first)) == pytest.approx(log(a) - 1.0 + 1.0 / a, abs=1e-5)
    only_right = torch.tensor([1.0, a]).view(1, 2, 1, 1)
    assert float(misleading_evidence(only_right, second)) == pytest.approx(0.0, abs=1e-6)


# Dempster and Shafer, against sums over all subsets of the frame

Mass = dict[frozenset[int], float]


def combine(one: Mass, other: Mass, *, union: bool = False) -> Mass:
    """Join two mass functions by conjunction or disjunction, the empty set included."""
    joined: Mass = {}
    for (a, x), (b, y) in product(one.items(), other.items()):
        key = a | b if union else a & b
        joined[key] = joined.get(key, 0.0) + x * y
    return joined


def contour(mass: Mass, k: int) -> float:
    return sum(value for focal, value in mass.items() if k in focal)


def discounted(mass: Mass, reliability: list[float]) -> Mass:
    """Discount by context: for each class, with probability 1 − β, what was said may also mean that class."""
    for k, beta in enumerate(reliability):
        mass = combine(mass, {frozenset(): beta, frozenset({k}): 1.0 - beta}, union=True)
    return mass


def as_masses(given: list[Mass], classes: int) -> Masses:
    singletons = torch.tensor([[m.get(frozenset({k}), 0.0) for k in range(classes)] for m in given])
    ignorance = torch.tensor([m[frozenset(range(classes))] for m in given])
    return Masses(singletons[None, :, :, None, None], ignorance[None, :, None, None])


def random_mass(classes: int, seed: int) -> Mass:
    weights = np.random.default_rng(seed).dirichlet(np.ones(classes + 1))
    frame = frozenset(range(classes))
    return {**{frozenset({k}): float(weights[k]) for k in range(classes)}, frame: float(weights[-1])}


def test_conflict_by_hand() -> None:
    frame = frozenset({0, 1})
    given: list[Mass] = [
        {frozenset({0}): 0.6, frozenset({1}): 0.1, frame: 0.3},
        {frozenset({0}): 0.2, frozenset({1}): 0.5, frame: 0.3},
    ]
    assert float(dempster_conflict(as_masses(given, 2), [0, 1])) == pytest.approx(0.6 * 0.5 + 0.1 * 0.2, abs=1e-6)
    assert float(dempster_conflict(as_masses(given, 2), [0])) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_fusion_and_conflict_agree_with_sums_over_all_subsets(classes: int) -> None:
    given = [random_mass(classes, seed) for seed in range(3)]
    masses = as_masses(given, classes)
    for chosen in [*combinations(range(3), 2), (0, 1, 2)]:
        joined: Mass = {frozenset(range(classes)): 1.0}
        for i in chosen:
            joined = combine(joined, given[i])
        assert float(dempster_conflict(masses, chosen)) == pytest.approx(joined.get(frozenset(), 0.0), abs=1e-6)
    reliability = np.random.default_rng(9).uniform(0.2, 1.0, (3, classes))
    fused: Mass = {frozenset(range(classes)): 1.0}
    for mass, beta in zip(given, reliability, strict=True):
        fused = combine(fused, discounted(mass, beta.tolist()))
    ours = discounted_log_plausibility(masses.plausibility, torch.from_numpy(reliability).float()).exp().flatten()
    assert ours.tolist() == pytest.approx([contour(fused, k) for k in range(classes)], abs=1e-6)


@torch.no_grad()
def test_the_evidential_layer_is_dempsters_rule_over_its_prototypes() -> None:
    torch.manual_seed(0)
    layer = EvidentialLayer(2, 3)
    features = rand(1, 2, NUM_FEATURES, 1, 1)
    found = layer(features)
    frame = frozenset(range(3))
    for m in range(2):
        joined: Mass = {frame: 1.0}
        for i in range(layer.prototypes.shape[1]):
            distance = float((features[0, m, :, 0, 0] - layer.prototypes[m, i]).square().sum())
            activation = float(torch.sigmoid(layer.strength[m, i])) * exp(
                -(float(layer.steepness[m, i]) ** 2) * distance
            )
            membership = layer.membership[m, i].softmax(dim=0).tolist()
            evidence: Mass = {frozenset({k}): u * activation for k, u in enumerate(membership)}
            joined = combine(joined, {**evidence, frame: 1.0 - activation})
        total = 1.0 - joined.pop(frozenset(), 0.0)
        singletons = [joined[frozenset({k})] / total for k in range(3)]
        assert found.singletons[0, m, :, 0, 0].tolist() == pytest.approx(singletons, abs=1e-5)
        assert float(found.ignorance[0, m]) == pytest.approx(joined[frame] / total, abs=1e-5)


def test_an_absent_modality_knows_nothing_and_contradicts_nobody() -> None:
    torch.manual_seed(0)
    network = EvidentialFusion(EarlyFusionConfig(2, 3, 1, (8, 8))).eval()
    images, presence = rand(1, 2, 1, 16, 16), torch.ones(1, 2, 1, 16, 16)
    presence[:, 1, :, :8] = 0.0
    with torch.no_grad():
        masses = network(images, presence)
    assert (masses.ignorance[:, 1, :8] == 1.0).all()
    assert (masses.ignorance[:, 1, 8:] < 1.0).all()
    conflict = dempster_conflict(masses, [0, 1])
    assert float(conflict[:, :8].max()) < 1e-5
    assert float(conflict[:, 8:].min()) > 1e-4


# nested thresholds


def test_nested_hypotheses_average_to_the_foregrounds_probability() -> None:
    rng = np.random.default_rng(0)
    probability = np.moveaxis(rng.dirichlet(np.ones(3), (2, 5, 6)), -1, 0)
    for k in (1, 4, 16):
        masks = nested_hypotheses(probability, k)
        assert np.abs((masks > 0).mean(axis=0) - (1.0 - probability[0])).max() <= 0.5 / k + 1e-9
        assert all(((masks[i + 1] > 0) <= (masks[i] > 0)).all() for i in range(k - 1))
        assert set(np.unique(masks[masks > 0])) <= {1, 2}
