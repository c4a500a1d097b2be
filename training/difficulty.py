"""How hard is a simulated domain? ``python -m training.difficulty --domain brain``.

Fits the early-fusion U-Net, or an ensemble of it, on the training cases and reports the Dice of every structure with
all modalities and with each alone, beside what a perfect reader reaches, and how far the network's probability is from
the exact one. A domain is meant to be hard: the best single modality near .6 to .75, all together near .85.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from entrust.slices import with_context
from training.augment import BatchSource
from training.baselines.unet import EarlyFusionConfig, EarlyFusionUNet, cross_entropy_loss
from training.config import AugmentConfig, FitConfig
from training.datasets.case import TrainingCase
from training.datasets.phantoms.world.case import DOMAINS, WorldCase, get_domain, make_case
from training.datasets.phantoms.world.domain import Domain
from training.datasets.phantoms.world.splits import TEST, TRAIN, get_split
from training.fit import device, fit

OFFSETS = (-1, 0, 1)
AUGMENT = AugmentConfig(rotation_degrees=20.0, zoom=(0.9, 1.15), all_modalities=0.5, truncate=0.0, edit=0.0)

log = logging.getLogger(__name__)


def fit_members(domain: Domain, cases: list[TrainingCase], iterations: int, members: int) -> list[nn.Module]:
    """Fit the baseline ``members`` times from different seeds, with modalities left out at random."""
    fitted = []
    augment = replace(AUGMENT, size=domain.shape[-1])
    for seed in range(members):
        torch.manual_seed(seed)
        module = EarlyFusionUNet(
            EarlyFusionConfig(len(domain.channels), len(domain.structures) + 1, len(OFFSETS), dropout=0.05)
        )
        config = FitConfig(task=domain.name, iterations=iterations, batch=12, seed=seed, phantom_share=0.0)

        def source(seed: int = seed) -> BatchSource:
            return BatchSource(cases, [], phantom_share=0.0, offsets=OFFSETS, config=augment, batch=12, seed=seed)

        with tempfile.TemporaryDirectory() as folder:
            fitted.append(fit(module, cross_entropy_loss, source, config, Path(folder), _report))
    return fitted


def _report(iteration: int, losses: dict[str, float], seconds: float) -> None:
    log.info("iteration %d: loss %.4f, %.2f s", iteration, losses["total"], seconds)


@torch.inference_mode()
def predict(members: Sequence[nn.Module], case: TrainingCase, kept: Sequence[int]) -> Float[np.ndarray, "c d h w"]:
    """Return the members' mean probability from the modalities ``kept``."""
    presence = case.presence.astype(np.float32)
    for m in set(range(len(presence))) - set(kept):
        presence[m] = 0.0
    at = np.arange(case.depth)
    where = device()
    images = torch.from_numpy(with_context(case.images, at, OFFSETS)).to(where)
    present = torch.from_numpy(with_context(presence, at, OFFSETS)).to(where)
    answers = [torch.softmax(m(images, present), 1) for m in members]
    mean: np.ndarray = torch.stack(answers).mean(0).transpose(0, 1).cpu().numpy()
    return mean


def dice(probability: Float[np.ndarray, "c d h w"], label: np.ndarray, level: int) -> float:
    """Return the Dice of structure ``level`` (all labels from it on); both empty count as 1."""
    mask, truth = probability[level:].sum(axis=0) > 0.5, label >= level
    total = int(mask.sum() + truth.sum())
    return 2 * int((mask & truth).sum()) / total if total else 1.0


def score(domain: Domain, members: Sequence[nn.Module], cases: Sequence[WorldCase]) -> list[tuple[str, list[float]]]:
    """Return rows of (what was seen, Dice of each structure and distance from the exact probability)."""
    everything = tuple(range(len(domain.channels)))
    seen = [("all", everything), *((slug, (i,)) for i, slug in enumerate(domain.slugs))]
    levels = range(1, len(domain.structures) + 1)
    rows = []
    for name, kept in seen:
        values = []
        for case in cases:
            p = predict(members, case.as_training_case(), kept)
            near = (case.probability[domain.lesion_level :].sum(0) > 0) | (p[domain.lesion_level :].sum(0) > 0.05)
            far = np.abs(p - case.probability).sum(axis=0)[near].mean() / 2
            values.append([*(dice(p, case.label, r) for r in levels), float(far)])
        rows.append((name, list(np.mean(values, axis=0))))
    oracle = [[*(dice(c.probability, c.label, r) for r in levels), 0.0] for c in cases]
    rows.append(("perfect reader", list(np.mean(oracle, axis=0))))
    return rows


def main() -> None:
    """Fit and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domain", choices=DOMAINS, default="lesion")
    parser.add_argument("--split", default=TEST.name)
    parser.add_argument("--cases", type=int, default=300, help="training cases")
    parser.add_argument("--test-cases", type=int, default=60)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--members", type=int, default=1, help="5 makes the ensemble")
    parser.add_argument("--threads", type=int, default=0, help="of the processor; 0: as many as there are")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    domain = get_domain(options.domain)
    start = time.perf_counter()
    cases = [make_case(domain, TRAIN, i).as_training_case() for i in range(options.cases)]
    log.info("%d cases in %.0f s", len(cases), time.perf_counter() - start)
    members = fit_members(domain, cases, options.iterations, options.members)
    tests = [make_case(domain, get_split(options.split), i) for i in range(options.test_cases)]
    print(f"| {domain.name}, seen | " + " | ".join(domain.structures) + " | mean ∣p − p*∣ near lesions |")
    print("|---" * (len(domain.structures) + 2) + "|")
    for name, values in score(domain, members, tests):
        print(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |", flush=True)


if __name__ == "__main__":
    main()
