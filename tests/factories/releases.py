"""Released weights of a task, small and random: ``python -m tests.factories.releases brain FOLDER``."""

import sys
from pathlib import Path

import torch

from entrust.contract import FittedConstants, ModelCard, Task, get_task
from entrust.networks.calibration_head import CalibrationHead
from entrust.networks.enfuse import EnFuse, EnFuseConfig
from entrust.networks.release import ServedNetworks, save_release
from entrust.networks.segdiff import Denoiser, SegDiffConfig

VERSION = "small"


def release_small(task: Task, folder: Path) -> ModelCard:
    """Write networks much smaller than the default ones, with seeded random weights, as a release."""
    sizes = {"num_classes": task.num_classes, "conditioning": task.conditioning_features}
    enfuse = EnFuseConfig(
        num_modalities=task.num_modalities,
        num_context=len(task.context_offsets),
        trunk=(8, 12, 16, 20),
        shared=8,
        cues=4,
        conflict=4,
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = ServedNetworks(
            EnFuse(enfuse).eval(),
            Denoiser(SegDiffConfig(widths=(8, 12, 16), embedding=16, **sizes)).eval(),
            CalibrationHead(task.num_features, task.num_classes).eval(),
            ModelCard(task=task.name, version=VERSION, digest=""),
        )
    return save_release(folder, networks, version=VERSION, constants=FittedConstants())


if __name__ == "__main__":
    release_small(get_task(sys.argv[1]), Path(sys.argv[2]))
