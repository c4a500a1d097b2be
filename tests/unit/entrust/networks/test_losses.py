"""The auxiliary losses against cases whose value is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from entrust.networks.losses import (
    AuxiliaryHeads,
    alignment_loss,
    conflict_loss,
    cross_correlation,
    cross_covariance_loss,
    domain_loss,
    pooled_targets,
    reconstruction_loss,
    soft_binned_ace,
    unimodal_loss,
)
from tests.factories.networks import SMALL_ENFUSE, fused_scale, small_enfuse


def columns(*signs: str) -> Tensor:
    return torch.tensor([[1.0 if c == "+" else -1.0 for c in s] for s in signs]).t()


def test_equal_columns_correlate_fully_whatever_their_scale() -> None:
    a = columns("++--+-+-")
    assert cross_correlation(a, a).item() == pytest.approx(1.0, abs=1e-5)
    assert cross_correlation(100.0 * a + 7.0, -0.01 * a).item() == pytest.approx(1.0, rel=0.02)


def test_orthogonal_columns_do_not_correlate() -> None:
    a, b = columns("++++----", "++--++--"), columns("+-+-+-+-", "++----++")
    assert cross_correlation(a, b).item() == pytest.approx(0.0, abs=1e-6)
    half = cross_correlation(a, torch.cat([a[:, :1], b[:, :1]], dim=1))
    assert half.item() == pytest.approx(0.25, abs=1e-5)  # one of 2 × 2 pairs of columns is equal


def test_positions_without_weight_do_not_count() -> None:
    a, b = columns("++--++++"), columns("+-+-++++")
    weights = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0])
    assert cross_correlation(a, b).item() > 0.01
    assert cross_correlation(a, b, weights).item() == pytest.approx(0.0, abs=1e-6)


def test_cross_covariance_counts_its_four_kinds_of_pairs() -> None:
    one = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    same = fused_scale(shared_anatomy=one, modality_cues=one[:, None].expand(2, 3, 1, 8, 8), conflict_features=one)
    generator = torch.Generator().manual_seed(0)
    assert cross_covariance_loss(same, 4096, generator).item() == pytest.approx(4.0, rel=1e-3)


def test_cross_covariance_of_independent_features_is_small_and_repeatable() -> None:
    g = torch.Generator().manual_seed(0)
    apart = fused_scale(
        shared_anatomy=torch.randn(2, 2, 64, 64, generator=g),
        modality_cues=torch.randn(2, 3, 2, 64, 64, generator=g),
        conflict_features=torch.randn(2, 2, 64, 64, generator=g),
        presence=torch.ones(2, 3, 1, 64, 64),
    )
    first, again = (cross_covariance_loss(apart, 4096, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.item() == again.item()
    assert first.item() < 4 * 10 / 4096  # the expectation is 1/4096 for each of four kinds


def test_its_gradient_decorrelates() -> None:
    g = torch.Generator().manual_seed(0)
    b = torch.randn(512, 1, generator=g)
    a = (b + 0.3 * torch.randn(512, 1, generator=g)).requires_grad_()
    optimiser = torch.optim.SGD([a], lr=50.0)
    before = cross_correlation(a, b).item()
    for _ in range(50):
        optimiser.zero_grad()
        cross_correlation(a, b).backward()
        optimiser.step()
    assert cross_correlation(a, b).item() < 0.05 * before
    assert a.detach().std() > 0.1  # not by shrinking


def test_alignment_is_the_distance_of_present_codes_outside_conflict() -> None:
    codes = torch.tensor([0.0, 2.0, 5.0])[None, :, None, None, None].expand(2, 3, 2, 8, 8)
    presence = torch.ones(2, 3, 1, 8, 8)
    presence[:, 2] = 0.0
    calm, conflict = torch.full((2, 1, 8, 8), -30.0), torch.full((2, 1, 8, 8), 30.0)
    all_pairs = alignment_loss(fused_scale(shared_codes=codes, conflict_logit=calm))
    assert all_pairs.item() == pytest.approx((2 + 5 + 3) / 3)
    two = alignment_loss(fused_scale(shared_codes=codes, conflict_logit=calm, presence=presence))
    assert two.item() == pytest.approx(2.0)
    assert alignment_loss(fused_scale(shared_codes=codes, conflict_logit=conflict)).item() == pytest.approx(0.0)


def test_alignment_does_not_teach_the_gate() -> None:
    logit = torch.zeros(2, 1, 8, 8, requires_grad=True)
    codes = torch.randn(2, 3, 2, 8, 8, requires_grad=True)
    alignment_loss(fused_scale(shared_codes=codes, conflict_logit=logit)).backward()
    assert logit.grad is None
    assert codes.grad is not None


def test_pooled_targets_are_shares_of_the_classes() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, :2, :1] = 1
    targets = pooled_targets(labels, 2, torch.zeros(3, 2, 2, 2))
    assert targets.shape == (3, 2, 2, 2)
    assert targets[2, 1].tolist() == [[0.5, 0.0], [0.0, 0.0]]


def test_unimodal_loss_of_ignorance_is_the_logarithm_of_the_classes() -> None:
    shown = torch.randint(0, 2, (2, 3, 16, 16))
    assert unimodal_loss(fused_scale(), shown).item() == pytest.approx(math.log(2.0))


def test_unimodal_loss_counts_present_modalities_alone() -> None:
    shown = torch.zeros(2, 3, 16, 16, dtype=torch.long)
    logits = torch.zeros(2, 3, 2, 8, 8)
    logits[:, 0, 0], logits[:, 1, 1] = 30.0, 30.0  # right, wrong by 30 nats, unsure
    presence = torch.ones(2, 3, 1, 8, 8)
    loss = unimodal_loss(fused_scale(unimodal_logits=logits), shown)
    assert loss.item() == pytest.approx((0.0 + 30.0 + math.log(2.0)) / 3)
    presence[:, 1:] = 0.0
    assert unimodal_loss(fused_scale(unimodal_logits=logits, presence=presence), shown).item() < 1e-6


def test_unimodal_loss_judges_each_modality_by_what_it_shows() -> None:
    shown = torch.zeros(2, 3, 16, 16, dtype=torch.long)
    shown[:, 1] = 1  # contradicts the first
    shown[:, 2, :, :9] = -1  # half of the fifth coarse column is not judged: nor is that column
    logits = torch.zeros(2, 3, 2, 8, 8)
    logits[:, 0, 0], logits[:, 1, 1], logits[:, 2, 0] = 30.0, 30.0, 30.0
    logits[:, 2, :, :, :5] = torch.tensor([0.0, 30.0])[:, None, None]  # wrong where nobody judges
    assert unimodal_loss(fused_scale(unimodal_logits=logits), shown).item() < 1e-6
    assert unimodal_loss(fused_scale(unimodal_logits=logits), shown.clamp_min(0)).item() == pytest.approx(30 * 5 / 24)


def conflict_case(logit: float) -> tuple[Tensor, Tensor]:
    edited = torch.zeros(2, 16, 16)
    edited[:, :8] = 1.0
    sign = torch.full((2, 1, 8, 8), -1.0)
    sign[:, :, :4] = 1.0
    return edited, logit * sign


def test_conflict_loss_is_zero_for_the_right_map_and_large_for_its_opposite() -> None:
    edited, logit = conflict_case(30.0)
    both = torch.ones(2, dtype=torch.bool)
    right = conflict_loss(fused_scale(conflict_logit=logit), edited, both).item()
    wrong = conflict_loss(fused_scale(conflict_logit=-logit), edited, both).item()
    assert right == pytest.approx(0.0, abs=1e-4)
    assert wrong == pytest.approx(30.0 + 1.0 - 1.0 / 129.0, rel=1e-3)  # cross-entropy 30, Dice (0 + 1) / (128 + 1)


def test_conflict_loss_takes_evident_conflict_as_target_and_lone_modalities_not_at_all() -> None:
    edited, logit = conflict_case(30.0)
    none = torch.zeros(2, dtype=torch.bool)
    evident = fused_scale(conflict_logit=logit, agreement=(logit > 0).float())
    assert conflict_loss(evident, torch.zeros_like(edited), none).item() == pytest.approx(0.0, abs=1e-4)
    presence = torch.zeros(2, 3, 1, 8, 8)
    presence[:, 0] = 1.0
    alone = fused_scale(conflict_logit=-logit, presence=presence)
    assert conflict_loss(alone, edited, torch.ones(2, dtype=torch.bool)).item() == pytest.approx(0.0, abs=1e-4)


def test_conflict_loss_prefers_silence_on_unedited_slices() -> None:
    nothing, none = torch.zeros(2, 16, 16), torch.zeros(2, dtype=torch.bool)
    flat = torch.full((2, 1, 8, 8), -2.0)
    with_pull = conflict_loss(fused_scale(conflict_logit=flat), nothing, none, sparsity=0.5)
    without = conflict_loss(fused_scale(conflict_logit=flat), nothing, none, sparsity=0.0)
    assert (with_pull - without).item() == pytest.approx(0.5 / (1.0 + math.exp(2.0)), rel=1e-4)


def test_domain_loss_of_a_blind_classifier_is_the_logarithm_of_the_modalities() -> None:
    heads = AuxiliaryHeads(SMALL_ENFUSE)
    torch.nn.init.zeros_(heads.modality.weight)
    torch.nn.init.zeros_(heads.modality.bias)
    cues = torch.randn(2, 3, SMALL_ENFUSE.cues, 8, 8)
    assert domain_loss(fused_scale(modality_cues=cues), heads).item() == pytest.approx(math.log(3.0))


def test_reconstruction_of_nothing_costs_the_mean_of_what_is_present() -> None:
    heads = AuxiliaryHeads(SMALL_ENFUSE)
    for parameter in heads.parameters():
        torch.nn.init.zeros_(parameter)
    presence = torch.ones(2, 3, 1, 8, 8)
    presence[:, 2] = 0.0
    scale = fused_scale(
        shared_anatomy=torch.randn(2, SMALL_ENFUSE.shared, 8, 8),
        modality_cues=torch.randn(2, 3, SMALL_ENFUSE.cues, 8, 8),
        presence=presence,
    )
    centre = torch.tensor([1.0, -3.0, 100.0])[None, :, None, None].expand(2, 3, 16, 16)
    assert reconstruction_loss(scale, heads, centre).item() == pytest.approx(2.0)


def test_calibrated_probabilities_have_no_calibration_error() -> None:
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, :3] = 1
    foreground = torch.full((1, 1, 10, 10), 0.3)
    probability = torch.cat([1.0 - foreground, foreground], dim=1)
    assert soft_binned_ace(probability, labels).item() == pytest.approx(0.0, abs=1e-5)


def test_confident_and_wrong_costs_its_confidence() -> None:
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    foreground = torch.full((1, 1, 10, 10), 0.9)
    probability = torch.cat([1.0 - foreground, foreground], dim=1)
    assert soft_binned_ace(probability, labels).item() == pytest.approx(0.9, abs=1e-5)
    nowhere_else = torch.zeros(1, 10, 10)
    nowhere_else[0, 0] = 1.0
    labels[0, 0, :9] = 1
    assert soft_binned_ace(probability, labels, nowhere_else).item() == pytest.approx(0.0, abs=1e-5)


def test_soft_bins_agree_with_a_dense_second_implementation() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=(2, 16, 16)).transpose(0, 3, 1, 2).astype(np.float32)
    y = rng.integers(0, 3, size=(2, 16, 16))
    centres = (np.arange(20) + 0.5) / 20
    errors = []
    for c in range(3):
        pc, yc = p[:, c].ravel().clip(centres[0], centres[-1]), (y == c).ravel()
        weight = np.clip(1.0 - np.abs(pc[None] - centres[:, None]) * 20, 0.0, None)  # triangles, [bin, voxel]
        counts = weight.sum(axis=1)
        gaps = np.abs((weight * (p[:, c].ravel() - yc)).sum(axis=1))
        errors += [g / n for g, n in zip(gaps, counts, strict=True) if n >= 1.0]
    found = soft_binned_ace(torch.from_numpy(p), torch.from_numpy(y))
    assert found.item() == pytest.approx(float(np.mean(errors)), abs=1e-4)


def test_soft_binned_ace_can_be_descended() -> None:
    torch.manual_seed(0)
    labels = (torch.rand(1, 32, 32) < 0.3).long()
    logit = torch.full((1, 1, 32, 32), 2.0)
    shift = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=0.1)
    for _ in range(60):
        p = torch.sigmoid(logit + shift)
        loss = soft_binned_ace(torch.cat([1.0 - p, p], dim=1), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.sigmoid(2.0 + shift).item() == pytest.approx(0.3, abs=0.06)


def test_all_losses_are_finite_float32_under_bfloat16_autocast() -> None:
    enfuse, heads = small_enfuse().train(), AuxiliaryHeads(SMALL_ENFUSE)
    images = torch.randn(2, 3, 5, 32, 32)
    presence = torch.ones_like(images)
    presence[0, 1] = 0.0
    shown = torch.randint(-1, 2, (2, 3, 32, 32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused = enfuse(images, presence, torch.ones(2, 1, 3), torch.ones(2, 1))
        total = torch.zeros(())
        for scale in fused.scales:
            for loss in (
                cross_covariance_loss(scale, 256),
                alignment_loss(scale),
                unimodal_loss(scale, shown),
                conflict_loss(scale, torch.rand(2, 32, 32), torch.tensor([True, False])),
                domain_loss(scale, heads),
                reconstruction_loss(scale, heads, images[:, :, 2]),
            ):
                assert loss.dtype == torch.float32
                assert loss.isfinite()
                total = total + loss
    total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in enfuse.parameters())
