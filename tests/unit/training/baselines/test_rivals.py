"""Every rival learns a small problem, answers with probabilities, and draws hypotheses that belong to a volume."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from entrust.metrics import dice
from training.augment import Batch
from training.baselines.rival import RIVALS, SMALL_WIDTHS, Rival, rivals
from training.config import FitConfig
from training.fit import fit
from training.predict import CHUNK

pytestmark = pytest.mark.timeout(900)  # a fit is some seconds of CPU, more on a busy machine
SMALL = rivals(SMALL_WIDTHS)
M, C, Z, SIZE = 2, 3, 3, 24


def toy_batch(num_slices: int = 3) -> Batch:
    """Discs that the first modality shows, each with a core that only the second one shows."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    centres = torch.randint(9, 15, (num_slices, 2), generator=generator)
    squares = (rows - centres[:, :1, None]) ** 2 + (columns - centres[:, 1:, None]) ** 2
    disc, core = (squares < 64).float(), (squares < 16).float()
    images = torch.stack([disc, core], dim=1)[:, :, None].expand(-1, -1, Z, -1, -1)
    images = images + 0.1 * torch.randn(images.shape, generator=generator)
    shown = torch.stack([disc, core], dim=1).long()
    return Batch(images, torch.ones_like(images), (disc + core).long(), torch.zeros(num_slices, SIZE, SIZE), shown)


def fresh(rival: Rival, seed: int = 0) -> list[nn.Module]:
    torch.manual_seed(seed)
    return [rival.build(M, C, Z).eval() for _ in range(rival.num_modules)]


def is_distribution(probability: Tensor, axis: int) -> bool:
    return bool((probability >= 0).all()) and torch.allclose(probability.sum(dim=axis), torch.ones(()), atol=1e-5)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], nn.Module]:
    """Fits a rival's module once, also for those that share it."""
    batch = toy_batch()
    config = FitConfig(iterations=160, batch=len(batch.label), learning_rate=1e-2, ema=0.9, checkpoint_every=1000)

    @cache
    def fitted_as(name: str) -> nn.Module:
        torch.manual_seed(0)
        module = SMALL[name].build(M, C, Z)
        return fit(module, SMALL[name].loss, lambda: lambda _: batch, config, tmp_path_factory.mktemp(name))  # type: ignore[arg-type, return-value]

    return fitted_as


@pytest.mark.parametrize("name", SMALL)
def test_a_rival_learns_a_small_problem(name: str, fitted: Callable[[str], nn.Module]) -> None:
    rival, batch = SMALL[name], toy_batch()
    modules = [fitted(rival.fitted_as)] * rival.num_modules
    draw = rival.predict(modules, batch.images, batch.presence, num_hypotheses=4, seed=0)
    found = draw.marginal.argmax(dim=1).numpy()
    for c in range(1, C):
        assert dice(found == c, batch.label.numpy() == c) > 0.85, c


@pytest.mark.parametrize("name", SMALL)
def test_answers_are_probabilities_and_seeds_reproduce_them(name: str) -> None:
    rival, batch = SMALL[name], toy_batch()
    modules = fresh(rival)

    def predict(seed: int) -> tuple[Tensor, Tensor | None]:
        draw = rival.predict(modules, batch.images, batch.presence, num_hypotheses=3, seed=seed)
        return draw.marginal, draw.samples

    marginal, samples = predict(1)
    assert is_distribution(marginal, 1)
    again, same = predict(1)
    assert torch.equal(marginal, again)
    if samples is None:
        assert same is None
        return
    assert same is not None
    assert is_distribution(samples, 2)
    assert torch.equal(samples, same)
    assert float(samples.std(dim=1).max()) > 1e-3, "hypotheses differ"
    if name in ("ssn", "mc-dropout"):  # the others have no noise, but members, decoders or turned images
        assert samples.shape[1] == 3
        other = predict(2)[1]
        assert other is not None
        assert not torch.allclose(samples, other, atol=1e-4)


@pytest.mark.parametrize("name", ["ssn", "mc-dropout"])
def test_a_hypothesis_is_the_same_network_or_latent_on_every_slice(name: str) -> None:
    rival, batch = SMALL[name], toy_batch(1)
    modules = fresh(rival)
    slices = CHUNK + 1
    repeated = batch.images.expand(slices, -1, -1, -1, -1), batch.presence.expand(slices, -1, -1, -1, -1)
    together = rival.predict(modules, *repeated, num_hypotheses=3, seed=5).samples
    alone = rival.predict(modules, batch.images, batch.presence, num_hypotheses=3, seed=5).samples
    assert together is not None
    assert alone is not None
    # equal slices get equal answers but for bfloat16's rounding, within a pass and from pass to pass
    between_slices = float((together - alone).abs().max())
    between_hypotheses = float((alone[:, 0] - alone[:, 1]).abs().max())
    assert between_slices < 0.3 * between_hypotheses


@pytest.mark.parametrize("name", ["ssn", "mc-dropout"])
def test_fewer_hypotheses_are_the_first_of_more(name: str) -> None:
    rival, batch = SMALL[name], toy_batch(2)
    modules = fresh(rival)
    few, many = (rival.predict(modules, batch.images, batch.presence, num_hypotheses=k, seed=0).samples for k in (2, 5))
    assert few is not None
    assert many is not None
    assert torch.equal(few, many[:, :2])


@pytest.mark.parametrize("name", SMALL)
def test_an_absent_modality_is_not_looked_at(name: str) -> None:
    rival, batch = SMALL[name], toy_batch(2)
    modules = fresh(rival)
    presence = batch.presence.clone()
    presence[:, 1] = 0.0
    answers = [
        rival.predict(modules, images, presence, num_hypotheses=2, seed=0).marginal
        for images in (batch.images, torch.cat([batch.images[:, :1], 9.0 + batch.images[:, 1:]], dim=1))
    ]
    assert torch.equal(*answers)


def test_every_fit_that_is_shared_exists_and_builds_the_same_network() -> None:
    for rival in RIVALS.values():
        source = RIVALS[rival.fitted_as]
        assert source.fitted_as == source.name
        assert source.loss is rival.loss
        shapes = [{k: v.shape for k, v in r.build(3, 2, 5).state_dict().items()} for r in (rival, source)]
        assert shapes[0] == shapes[1]


def test_rivals_have_the_size_of_entrust_and_the_published_one() -> None:
    published = {
        "unet-ce": 696_244,
        "unet-dicece": 696_244,
        "ensemble": 696_244,
        "ensemble-dicece": 696_244,
        "decoders": 2_023_268,
        "mc-dropout": 696_244,
        "tta": 696_244,
        "ssn": 699_148,
        "evidential": 696_244,
        "evidential-fusion": 701_250,
    }
    assert {n: sum(p.numel() for p in r.build(3, 2, 5).parameters()) for n, r in RIVALS.items()} == published
