"""Release the benchmark's EnTrust as weights that are served: for tasks that no data of patients trains here."""

from dataclasses import asdict
from pathlib import Path

import torch

from entrust.contract import FittedConstants, ModelCard, get_task
from entrust.networks.release import ServedNetworks, save_release
from training.benchmark.answers import ask_entrust, calibrate
from training.benchmark.fits import fit_piece
from training.benchmark.plan import ENTRUST, Budget, Piece, fit_config, hypotheses_stage
from training.benchmark.task import world_task
from training.datasets.phantoms.world.case import get_domain, make_case
from training.datasets.phantoms.world.splits import CALIBRATION
from training.datasets.phantoms.world.streams import WORLD_VERSION
from training.entrust_model import EnTrustNetworks
from training.hypotheses_cache import without

VERSION = "0.4.0"
"""Below 1: fitted on phantoms alone."""


def release_domain(domain: str, seed: int, budget: Budget, folder: Path, weights: Path, num: int) -> ModelCard:
    """Calibrate a domain's EnTrust, with modalities missing in turn, and write its weights.

    Args:
        domain: Name of a domain, and of the served task.
        seed: Of the fit.
        budget: Of the fit.
        folder: See :func:`training.benchmark.fits.fit_piece`.
        weights: Where to write.
        num: Calibration cases.
    """
    piece, task, world = Piece(domain, ENTRUST, seed), world_task(domain), get_domain(domain)
    networks = fit_piece(piece, budget, folder)
    assert isinstance(networks, EnTrustNetworks)  # noqa: S101
    complete = [make_case(world, CALIBRATION, i).as_training_case() for i in range(num)]
    held = [without(case, [i % task.num_modalities]) if i % 3 == 2 else case for i, case in enumerate(complete)]
    raws = [ask_entrust(networks, task, case) for case in held]
    fitted = calibrate(raws, held, task, world.lesion_level, budget.head)
    served = ServedNetworks(
        networks.enfuse,
        networks.denoiser,
        fitted.head,
        ModelCard(task=get_task(domain).name, version=VERSION, digest="", constants=FittedConstants()),
    )
    config = fit_config(piece, budget)
    return save_release(
        weights,
        served,
        version=VERSION,
        constants=FittedConstants(
            kappa=fitted.kappa,
            volume_interval_scale=round(fitted.interval_scale or 1.0, 3),
            conflict_threshold=round(fitted.conflict_threshold, 3),
            probe_share=fitted.probe_share,
            doubt_share=fitted.doubt_share,
        ),
        facts={
            "data": {
                "name": "ConflictWorld",
                "version": WORLD_VERSION,
                "phantoms": f"{budget.cases} to train",
            },
            "licence": "Apache-2.0",
            "splits": {"calibration": [case.name for case in complete]},
            "config": {"first_stage": asdict(config), "hypotheses_stage": asdict(hypotheses_stage(config))},
            "held_out": "Every third calibration case lacks one modality; no test case was seen.",
            "calibration_head_iterations": fitted.head_iterations,
            "seed": seed,
            "torch": torch.__version__.split("+")[0],
        },
    )
