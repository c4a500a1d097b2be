"""The laws of EnFuse: absence is exact, variants are independent, conflict needs two."""

import pytest
import torch
from torch import Tensor

from entrust.networks.enfuse import EnFuse, EnFuseOutput
from tests.factories.networks import small_enfuse

B, M, Z, H, W = 2, 3, 5, 32, 48


@pytest.fixture(scope="module")
def enfuse() -> EnFuse:
    return small_enfuse()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(B, M, Z, H, W, generator=torch.Generator().manual_seed(1))


def presence_of(*present: int) -> Tensor:
    presence = torch.zeros(B, M, Z, H, W)
    presence[:, list(present)] = 1.0
    return presence


@torch.no_grad()
def fuse(
    enfuse: EnFuse, images: Tensor, presence: Tensor, keep: Tensor | None = None, gain: Tensor | None = None
) -> EnFuseOutput:
    keep = torch.ones(B, 1, M) if keep is None else keep
    gain = torch.ones(keep.shape[:2]) if gain is None else gain
    return enfuse(images, presence, keep, gain)


@pytest.mark.parametrize("alone", range(M))
def test_one_modality_alone_is_never_in_conflict(enfuse: EnFuse, images: Tensor, alone: int) -> None:
    fused = fuse(enfuse, images, presence_of(alone))
    for scale in fused.scales:
        assert torch.sigmoid(scale.conflict_logit).max() < 1e-6
        assert scale.conflict_features.abs().max() == 0.0
        assert scale.pair_conflict.abs().max() == 0.0
        assert scale.agreement.abs().max() == 0.0


def test_what_lies_in_an_absent_modality_changes_nothing(enfuse: EnFuse, images: Tensor) -> None:
    presence = presence_of(0, 1)
    presence[:, 2, :, :, : W // 2] = 1.0  # the third covers half of the plane
    other = torch.where(presence > 0, images, 1e3 * torch.ones(()))
    before, after = fuse(enfuse, images, presence), fuse(enfuse, other, presence)
    assert torch.equal(before.conditioning, after.conditioning)
    assert torch.equal(before.scales[0].conflict_logit, after.scales[0].conflict_logit)


@pytest.mark.parametrize("left_out", range(M))
def test_leaving_a_modality_out_is_the_same_as_never_having_had_it(
    enfuse: EnFuse, images: Tensor, left_out: int
) -> None:
    keep = torch.ones(B, 1, M)
    keep[:, :, left_out] = 0.0
    kept = fuse(enfuse, images, presence_of(*range(M)), keep)
    absent = fuse(enfuse, images, presence_of(*(i for i in range(M) if i != left_out)))
    torch.testing.assert_close(kept.conditioning, absent.conditioning, rtol=1e-5, atol=1e-5)
    for a, b in zip(kept.scales, absent.scales, strict=True):
        torch.testing.assert_close(a.shared_anatomy, b.shared_anatomy, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(a.conflict_logit, b.conflict_logit, rtol=1e-5, atol=1e-5)


def test_a_gain_of_zero_removes_the_conflict_features(enfuse: EnFuse, images: Tensor) -> None:
    presence, off = presence_of(*range(M)), torch.zeros(B, 1)
    with_conflict, without = fuse(enfuse, images, presence), fuse(enfuse, images, presence, gain=off)
    assert (with_conflict.conditioning - without.conditioning).abs().max() > 1e-3
    changed = small_enfuse()
    with torch.no_grad():
        for scale in changed.fusion:
            for layer in (scale.gate, scale.describe):
                for parameter in layer.parameters():
                    parameter.mul_(-3.0)
    assert torch.equal(fuse(changed, images, presence, gain=off).conditioning, without.conditioning)
    assert not torch.equal(fuse(changed, images, presence).conditioning, with_conflict.conditioning)


def test_variants_and_slices_do_not_see_each_other(enfuse: EnFuse, images: Tensor) -> None:
    presence = presence_of(*range(M))
    keep = torch.cat([torch.ones(B, 1, M), (1.0 - torch.eye(M)).expand(B, M, M)], dim=1)
    gain = torch.tensor([1.0, 1.5, 0.5, 0.0]).expand(B, 4)
    together = fuse(enfuse, images, presence, keep, gain).conditioning
    for v in range(4):
        alone = fuse(enfuse, images, presence, keep[:, v : v + 1], gain[:, v : v + 1]).conditioning
        torch.testing.assert_close(together[:, v : v + 1], alone, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        first = enfuse(images[:1], presence[:1], keep[:1], gain[:1]).conditioning
    torch.testing.assert_close(together[:1], first, rtol=1e-5, atol=1e-5)


def test_conflict_is_found_where_confident_modalities_disagree(enfuse: EnFuse, images: Tensor) -> None:
    finest = fuse(enfuse, images, presence_of(*range(M))).scales[0]
    p = finest.unimodal_logits.softmax(dim=2)
    certainty = 1.0 + torch.xlogy(p, p).sum(dim=2) / torch.log(torch.tensor(2.0))
    for pair, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        expected = (p[:, i, 1] - p[:, j, 1]).abs() * certainty[:, i] * certainty[:, j]
        torch.testing.assert_close(finest.pair_conflict[:, pair], expected, rtol=1e-4, atol=1e-5)
    assert finest.agreement.min() >= 0.0
    assert (finest.agreement[:, 0] >= finest.pair_conflict.amax(dim=1) - 1e-6).all()


def test_nothing_at_all_gives_finite_answers(enfuse: EnFuse, images: Tensor) -> None:
    fused = fuse(enfuse, images, presence_of())
    assert fused.conditioning.isfinite().all()
    assert fused.scales[0].shared_anatomy.abs().max() == 0.0
