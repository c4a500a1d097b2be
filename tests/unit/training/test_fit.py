"""A run that was interrupted ends with the very weights of one that was not, and batches are pure functions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from entrust.contract import ONCOLOGY
from entrust.networks.enfuse import EnFuseConfig
from entrust.networks.segdiff import SegDiffConfig
from training.augment import Batch, BatchSource
from training.config import AugmentConfig, FitConfig
from training.datasets.case import TrainingCase
from training.datasets.simulated import load_phantom
from training.entrust_model import EnTrustNetworks, SegDiffLoss
from training.fit import fit

SMALL = FitConfig(
    iterations=4,
    batch=2,
    checkpoint_every=1,
    enfuse=EnFuseConfig(trunk=(8, 8, 8, 8), shared=8, cues=4, conflict=4, conditioning=8),
    denoiser=SegDiffConfig(conditioning=8, widths=(8, 8), embedding=8),
    augment=AugmentConfig(size=32),
)


@pytest.fixture(scope="module")
def phantom() -> TrainingCase:
    return load_phantom(1000)


def batches(phantom: TrainingCase, config: FitConfig) -> BatchSource:
    return BatchSource(
        [phantom],
        [],
        phantom_share=0.0,
        offsets=ONCOLOGY.context_offsets,
        config=config.augment,
        batch=config.batch,
        seed=config.seed,
    )


def trained(phantom: TrainingCase, folder: Path, interrupt_after: int | None = None) -> dict[str, torch.Tensor]:
    """Fit from the start; with ``interrupt_after``, the source fails there once and the run is started again."""
    source = batches(phantom, SMALL)

    def fit_with(draw: object) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        module = EnTrustNetworks(SMALL)
        return dict(fit(module, SegDiffLoss(SMALL, ONCOLOGY.schedule), lambda: draw, SMALL, folder).state_dict())  # type: ignore[arg-type]

    if interrupt_after is not None:

        def dies(iteration: int) -> Batch:
            if iteration == interrupt_after:
                raise KeyboardInterrupt
            return source(iteration)

        with pytest.raises(KeyboardInterrupt):
            fit_with(dies)
    return fit_with(source)


def test_an_interrupted_run_ends_like_an_uninterrupted_one(phantom: TrainingCase, tmp_path: Path) -> None:
    whole = trained(phantom, tmp_path / "whole")
    resumed = trained(phantom, tmp_path / "resumed", interrupt_after=2)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_a_checkpoint_of_another_configuration_is_not_resumed(phantom: TrainingCase, tmp_path: Path) -> None:
    first = trained(phantom, tmp_path)
    other = replace(SMALL, learning_rate=1e-4)
    torch.manual_seed(0)
    module = EnTrustNetworks(other)
    second = fit(
        module, SegDiffLoss(other, ONCOLOGY.schedule), lambda: batches(phantom, other), other, tmp_path
    ).state_dict()
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_batch_is_a_function_of_seed_and_iteration(phantom: TrainingCase) -> None:
    one, again = batches(phantom, SMALL)(7), batches(phantom, SMALL)(7)
    other = batches(phantom, SMALL)(8)
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.label, again.label)
    assert not torch.equal(one.images, other.images)


def test_augmentation_keeps_its_promises(phantom: TrainingCase) -> None:
    config = replace(SMALL, batch=24, augment=AugmentConfig(size=64, edit=1.0))
    batch = batches(phantom, config)(0)
    assert torch.isfinite(batch.images).all()
    assert (batch.images[batch.presence == 0] == 0).all(), "absent means zero"
    assert set(batch.presence.unique().tolist()) <= {0.0, 1.0}
    centre = batch.presence[:, :, batch.presence.shape[2] // 2]
    given = centre.flatten(2).amax(dim=2).sum(dim=1)
    assert (given >= 1).all(), "some modality is always there"
    assert (given < 3).any(), "modalities are dropped"
    assert (batch.edited[centre.sum(dim=1) < 2] == 0).all(), "one modality alone contradicts nothing"
    assert float((batch.edited.flatten(1).amax(dim=1) > 0).float().mean()) > 0.2, "edits happen"
    assert float(batch.label.float().mean()) > 0.01


def test_noise_levels_follow_the_schedule(phantom: TrainingCase) -> None:
    loss = SegDiffLoss(SMALL, ONCOLOGY.schedule)
    label = torch.from_numpy((phantom.label[20:30, :64, :64] > 0).astype(np.int64))
    generator = torch.Generator().manual_seed(0)
    x = loss.noisy(label, torch.full((len(label), 1), 1.0), generator)
    assert float(x.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(x.std()) == pytest.approx(1.0, abs=0.02)
    t = loss.times(64, generator, torch.device("cpu"))
    assert (t == 1.0).float().mean() == pytest.approx(SMALL.terminal_share, abs=0.02)
    assert float(t.min()) > 0.0


def test_nested_labels_keep_their_levels_under_augmentation(phantom: TrainingCase) -> None:
    h, w = phantom.label.shape[1:]
    ring = np.hypot(*(np.mgrid[:h, :w] - np.array([h / 2, w / 2])[:, None, None]))
    label = np.stack([(ring < 24).astype(np.uint8) + (ring < 16) + (ring < 8)] * phantom.depth)
    nested = replace(phantom, label=label, conflict=None)
    config = replace(SMALL, batch=16, augment=AugmentConfig(size=64))
    batch = batches(nested, config)(0)
    assert set(batch.label.unique().tolist()) == {0, 1, 2, 3}
    for drawn in batch.label.numpy():
        inner, border = drawn == 3, np.zeros_like(drawn, dtype=bool)
        border[1:], border[:-1] = border[1:] | inner[:-1], border[:-1] | inner[1:]
        assert (drawn[border] >= 2).all(), "between the innermost structure and the background lie the others"
