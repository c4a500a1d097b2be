"""The laws of the denoiser: hypotheses share the conditioning and nothing else."""

import torch

from entrust.networks.segdiff import Denoiser, SegDiffConfig
from tests.factories.networks import shaken

B, K, C, H, W, F = 2, 3, 2, 32, 48, 8


def make_denoiser() -> Denoiser:
    torch.manual_seed(0)
    return shaken(Denoiser(SegDiffConfig(conditioning=F, widths=(8, 12, 16), embedding=16)))


def make_inputs(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    x, clean = (torch.randn(B, K, C, H, W, generator=generator) for _ in range(2))
    return x, clean, torch.tensor([[1.0], [0.25]]), torch.randn(B, F, H // 2, W // 2, generator=generator)


@torch.no_grad()
def test_hypotheses_do_not_see_each_other() -> None:
    denoiser = make_denoiser()
    x, clean, t, conditioning = make_inputs(torch.Generator().manual_seed(1))
    together = denoiser(x, clean, t, conditioning)
    assert together.shape == (B, K, C, H, W)
    for k in range(K):
        alone = denoiser(x[:, k : k + 1], clean[:, k : k + 1], t, conditioning)
        torch.testing.assert_close(together[:, k : k + 1], alone, rtol=1e-4, atol=1e-4)
    order = [2, 0, 1]
    torch.testing.assert_close(
        denoiser(x[:, order], clean[:, order], t, conditioning), together[:, order], rtol=1e-4, atol=1e-4
    )


@torch.no_grad()
def test_slices_of_different_times_share_a_batch() -> None:
    denoiser = make_denoiser()
    x, clean, t, conditioning = make_inputs(torch.Generator().manual_seed(2))
    together = denoiser(x, clean, t, conditioning)
    for b in range(B):
        one = slice(b, b + 1)
        torch.testing.assert_close(
            denoiser(x[one], clean[one], t[one], conditioning[one]), together[one], rtol=1e-4, atol=1e-4
        )


@torch.no_grad()
def test_every_input_matters() -> None:
    denoiser = make_denoiser()
    inputs = make_inputs(torch.Generator().manual_seed(3))
    reference = denoiser(*inputs)
    for i in range(len(inputs)):
        changed = list(inputs)
        changed[i] = changed[i] * 0.5
        assert (denoiser(*changed) - reference).abs().max() > 1e-3
