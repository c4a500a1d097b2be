"""A rival's answer for a whole case."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from entrust.contract import Task
from entrust.slices import crop_plane
from training.baselines.draw import Draw
from training.baselines.rival import Rival
from training.datasets.case import TrainingCase
from training.predict import CHUNK, slice_chunks


@dataclass(frozen=True, eq=False)
class VolumeDraw:
    """A rival's answer for a volume, as :class:`training.baselines.draw.Draw`, in numpy and unpadded.

    Attributes:
        marginal: Class probabilities.
        samples: Of each hypothesis; ``None`` of a deterministic method.
        conflict: ``None`` where a method has no such map.
        pair_conflict: By pair, in the order of ``task.pairs``.
    """

    marginal: Float32[np.ndarray, "d c h w"]
    samples: Float32[np.ndarray, "k d c h w"] | None
    conflict: Float32[np.ndarray, "d h w"] | None
    pair_conflict: Float32[np.ndarray, "p d h w"] | None


def predict_volume(
    rival: Rival,
    modules: Sequence[nn.Module],
    task: Task,
    case: TrainingCase,
    *,
    num_hypotheses: int,
    seed: int,
    chunk: int = CHUNK,
) -> VolumeDraw:
    """Ask a rival about every slice of a case, on the device of its modules.

    Args:
        rival: The method.
        modules: Its fitted modules.
        task: Gives context and padding.
        case: The case.
        num_hypotheses: K.
        seed: Of the hypotheses' noise.
        chunk: Slices a pass.
    """
    where = next(modules[0].parameters()).device
    h, w = case.label.shape[1:]
    draws: list[Draw] = [
        rival.predict(modules, images.to(where), presence.to(where), num_hypotheses=num_hypotheses, seed=seed)
        for _, images, presence in slice_chunks(task, case, chunk)
    ]

    def joined(parts: list[Tensor | None], slice_axis: int) -> Float32[np.ndarray, "..."] | None:
        present = [part for part in parts if part is not None]
        if not present:
            return None
        whole = torch.cat(present).float().cpu().numpy()  # slices lead
        return np.ascontiguousarray(crop_plane(np.moveaxis(whole, 0, slice_axis), h, w))

    marginal = joined([draw.marginal for draw in draws], 0)
    assert marginal is not None  # a case has slices  # noqa: S101
    return VolumeDraw(
        marginal=marginal,
        samples=joined([draw.samples for draw in draws], 1),
        conflict=joined([draw.conflict for draw in draws], 0),
        pair_conflict=joined([draw.pair_conflict for draw in draws], 1),
    )
