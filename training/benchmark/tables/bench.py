"""On what a table is measured: a domain, a seed's finished fits, and how many cases."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from entrust.contract import Task
from entrust.networks.release import ServedNetworks
from training.benchmark.answers import Raw
from training.benchmark.evaluate import Extent, Method, asker, calibration_cases, entrust_networks, methods
from training.benchmark.plan import Budget, Piece
from training.benchmark.task import world_task
from training.datasets.phantoms.world.case import WorldCase, get_domain, make_case
from training.datasets.phantoms.world.splits import TEST
from training.entrust_model import EnTrustNetworks


@dataclass(frozen=True)
class Bench:
    """What a table is measured on.

    Attributes:
        domain: Name of a domain.
        seed: Of the fits.
        budget: Of the fits.
        folder: See :func:`training.benchmark.fits.fit_piece`.
        cases: Cases of the test split.
        calibration: Calibration cases.
        weights: Folder of released weights, to take EnTrust's networks from; its fit if not given.
    """

    domain: str
    seed: int
    budget: Budget
    folder: Path
    cases: int = 16
    calibration: int = 12
    weights: Path | None = None

    @property
    def task(self) -> Task:
        """The domain's task."""
        return world_task(self.domain)

    def tests(self) -> Iterator[WorldCase]:
        """Yield the test cases."""
        for index in range(min(self.cases, TEST.cases)):
            yield make_case(get_domain(self.domain), TEST, index)

    def held(self) -> list[WorldCase]:
        """Return the calibration cases."""
        return calibration_cases(self.domain, Extent(calibration=self.calibration))

    def methods(self, names: Sequence[str]) -> list[Method]:
        """Return methods, calibrated; those whose fits are not finished are left out."""
        extent = Extent(calibration=self.calibration)
        return methods(self.domain, self.seed, self.budget, self.folder, extent, names, self.weights)

    def asker(self, name: str) -> Callable[[WorldCase], Raw] | None:
        """Return how to ask a method; ``None`` where its fits are not finished."""
        return asker(name, self.domain, self.seed, self.budget, self.folder, self.weights)

    def networks(self, name: str) -> EnTrustNetworks | ServedNetworks | None:
        """Return EnTrust's networks, or those of an ablation; ``None`` where the fit is not finished."""
        return entrust_networks(Piece(self.domain, name, self.seed), self.budget, self.folder, self.weights)
