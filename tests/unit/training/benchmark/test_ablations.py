"""An ablation takes away what it names, and nothing else."""

import torch

from training.benchmark import plan
from training.benchmark.ablations import ABLATIONS
from training.benchmark.fits import finished, fit_piece
from training.entrust_model import EnTrustNetworks

M, Z, SIZE = 3, len(plan.OFFSETS), 32


def networks(name: str) -> EnTrustNetworks:
    """Fresh networks without what an ablation takes away, with weights that let every part speak."""
    torch.manual_seed(0)
    built = EnTrustNetworks(ABLATIONS[name].config(plan.fit_config(plan.Piece("lesion", name, 0), plan.QUICK)))
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ABLATIONS[name].networks(built)
    return built.eval()


def fused(built: EnTrustNetworks, gains: tuple[float, ...] = (1.0,)):
    """What EnFuse says of one random slice, a variant for each gain on F_cf."""
    images = torch.randn(1, M, Z, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return built.enfuse(images, torch.ones_like(images), torch.ones(1, len(gains), M), torch.tensor([gains]))


def moves(built: EnTrustNetworks) -> float:
    """How far the conditioning hangs on F_cf."""
    on, off = fused(built, (1.0, 0.0)).conditioning[0]
    return float((on - off).abs().max())


def forgets(built: EnTrustNetworks) -> bool:
    """Whether the denoiser gives the same answer whatever it said before."""
    x, conditioning = torch.randn(1, 2, 2, SIZE, SIZE), fused(built).conditioning[:, 0]
    with torch.inference_mode():
        a, b = (built.denoiser(x, clean, torch.ones(1, 1), conditioning) for clean in (torch.zeros_like(x), x))
    return torch.equal(a, b)


def gate_is_fixed(built: EnTrustNetworks) -> bool:
    """Whether G is the parameter-free G*."""
    scale = fused(built).scales[0]
    return torch.allclose(torch.sigmoid(scale.conflict_logit), scale.agreement.clamp(1e-4, 1 - 1e-4), atol=1e-5)


def test_each_takes_away_its_own_idea_and_no_other() -> None:
    missing = {
        name: (
            moves(built) == 0.0,
            gate_is_fixed(built),
            forgets(built),
            ABLATIONS[name].config(plan.fit_config(plan.Piece("lesion", name, 0), plan.QUICK)).losses.cross_covariance
            == 0.0,
        )
        for name in ABLATIONS
        for built in [networks(name)]
    }
    assert missing == {
        "entrust-without-features": (True, False, False, False),
        "entrust-without-gate": (False, True, False, False),
        "entrust-without-self": (False, False, True, False),
        "entrust-without-covariance": (False, False, False, True),
    }


def test_both_stages_are_fitted_without_it(folder) -> None:
    piece = plan.Piece("lesion", "entrust-without-gate", 0)
    base = plan.Piece("lesion", plan.base_of(piece.method), 0)
    assert finished(piece, plan.QUICK, folder)
    assert finished(base, plan.QUICK, folder)
    for part in (piece, base):
        found = fit_piece(part, plan.QUICK, folder)
        assert isinstance(found, EnTrustNetworks)
        assert gate_is_fixed(found)
