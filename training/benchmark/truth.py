"""What is true of a case of ConflictWorld, in the words of the scorecard."""

import numpy as np

from training.datasets.phantoms.world.case import WorldCase
from training.datasets.phantoms.world.streams import stream
from training.scorecard import Truth


def world_truth(case: WorldCase, num_draws: int) -> Truth:
    """Return the truth of a case.

    Args:
        case: The case.
        num_draws: K of the oracle, as of the methods beside it; draws of their own, not the case's readers.
    """
    domain, conflicts = case.domain, case.scene.conflicts
    rng = stream(domain.name, case.split.name, case.index, "oracle")
    kinds = np.array(["", *(f.kind for f in domain.findings)])[case.kinds]
    negatives = {kind: (kinds == kind) & ~case.conflict for kind in ("complementary", "low-contrast", "noise")}
    return Truth(
        spacing_mm=case.scene.space.spacing_mm,
        labels=case.labels,
        draws=np.stack([label for _, label in case.scene.truth.draw(rng, num_draws)]),
        probability=case.probability,
        conflicts=case.blobs,
        responsible=case.responsible,
        states=case.table,
        hard_negatives={kind: mask for kind, mask in negatives.items() if mask.any()},
        lesion_level=domain.lesion_level,
        levels=np.array([c.finding.levels[1] for c in conflicts], dtype=int),
    )
