"""Twenty studies that differ in what results may trip over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from entrust.contract import ONCOLOGY, Task
from entrust.trustmap import TrustMap
from entrust.volume import Grid
from service.study import Case
from tests.factories.dicom_cases import (
    MODEL_GRID,
    answer,
    answer_of_two,
    read_case,
    two_structures,
    usual_grids,
    write_study,
)
from tests.factories.dicom_series import plane_grid
from tests.factories.trust_maps import trust_map_of


@dataclass(frozen=True)
class PhantomStudy:
    """A study with a known answer.

    Attributes:
        name: What is particular about it.
        grids: Series by modality slug.
        shuffle_seed: Files and instance numbers are shuffled, where given.
        tags: Further tags of every image; ``None`` deletes.
        task: The task that is done.
        answered: Gives the answer.
    """

    name: str
    grids: Mapping[str, Grid]
    shuffle_seed: int | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    task: Task = ONCOLOGY
    answered: Callable[[Case], TrustMap] = answer

    def write(self, folder: Path) -> Case:
        """Write the study into ``folder`` and read it."""
        write_study(folder, self.grids, shuffle_seed=self.shuffle_seed, tags=self.tags)
        return read_case(folder, task=self.task)


def _only(*slugs: str, plane: str = "axial") -> dict[str, Grid]:
    return {slug: grid for slug, grid in usual_grids(plane).items() if slug in slugs}


def _nothing(_: Case) -> TrustMap:
    return trust_map_of(np.zeros(MODEL_GRID.shape, dtype=bool))


def _everything(_: Case) -> TrustMap:
    return trust_map_of(np.ones(MODEL_GRID.shape, dtype=bool))


STUDIES = (
    PhantomStudy("axial", usual_grids()),
    PhantomStudy("sagittal", usual_grids("sagittal")),
    PhantomStudy("coronal", usual_grids("coronal")),
    PhantomStudy("oblique", usual_grids("oblique")),
    PhantomStudy("axial, shuffled", usual_grids(), shuffle_seed=5),
    PhantomStudy("oblique, shuffled", usual_grids("oblique"), shuffle_seed=6),
    PhantomStudy("without MR", _only("ct", "pet")),
    PhantomStudy("without PET", _only("ct", "t1")),
    PhantomStudy("without CT", _only("pet", "t1")),
    PhantomStudy("CT alone", _only("ct")),
    PhantomStudy("PET alone, coronal", _only("pet", plane="coronal")),
    PhantomStudy("MR alone, sagittal", _only("t1")),
    PhantomStudy("thick slices", {"ct": plane_grid("axial", (6, 40, 40), (9.0, 0.9, 0.9), (15.0, -18.0, 33.0))}),
    PhantomStudy("thin slices", {"ct": plane_grid("oblique", (48, 20, 24), (0.8, 3.0, 2.5), (15.0, -18.0, 33.0))}),
    PhantomStudy("two segments", usual_grids(), task=two_structures(), answered=answer_of_two),
    PhantomStudy(
        "two segments, oblique, without MR",
        _only("ct", "pet", plane="oblique"),
        task=two_structures(),
        answered=answer_of_two,
    ),
    PhantomStudy("nothing found", usual_grids(), answered=_nothing),
    PhantomStudy("found everywhere", _only("ct"), answered=_everything),
    PhantomStudy("unpaired body part", usual_grids(), tags={"BodyPartExamined": "CHEST", "Laterality": None}),
    PhantomStudy("no body part, side unknown", usual_grids(), tags={"BodyPartExamined": None, "Laterality": None}),
)
