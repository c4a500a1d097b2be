"""The claims on real patients: EnTrust's first stage and its rivals in the cross-validation over sarcoma patients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import ge, le
from pathlib import Path

from entrust import metrics
from entrust.metrics import Estimate, Statistic
from training import report
from training.benchmark.claims import Claim, Evidence, versus
from training.benchmark.kept import estimate

FILE = "sarcoma.json"
"""Scores of all folds; see :func:`training.report.write_scores`."""
ENSEMBLE = ("ensemble", "ensemble+temperature")
SINGLE = tuple(method for method, _ in report.RIVALS if method not in ENSEMBLE)


@dataclass(frozen=True)
class Patients(Evidence):
    """Holds the claims on the patients, each of whom was tested once.

    Attributes:
        scores: Of all methods.
        machine: Where the networks were fitted.
    """

    scores: report.Scores
    machine: str
    domain: str = "sarcoma"

    @property
    def num_seeds(self) -> int:
        """One: each fold was fitted once."""
        return 1

    def mean(self, method: str, name: str) -> Statistic:
        """Return the mean of a number over the patients."""
        return metrics.patient_mean(report.column(report.select(self.scores, method), name))

    def best(self, methods: Sequence[str], name: str, *, highest: bool = False) -> str:
        """Return the method with the best mean."""
        return (max if highest else min)(methods, key=lambda method: self.mean(method, name).value)

    def compared(self, name: str, theirs: str, kind: str) -> Estimate | None:
        """Return our mean minus, or over, a rival's."""
        return versus([[self.mean(method, name) for method in (report.CROSS_VALIDATED, theirs)]], kind)

    def claims(self) -> Iterator[Claim]:
        """Accuracy, calibration, volumes, errors and intervals."""
        for methods, bar, least in ((SINGLE, "≥ 0", 0.0), (ENSEMBLE, "≥ −.005", -0.005)):
            other = self.best(methods, "dice", highest=True)
            found = self.compared("dice", other, "difference")
            yield self.claim("accuracy: Dice minus the rival's", found, bar, ge, least, other)
        for methods, most in ((SINGLE, 0.6), (ENSEMBLE, 1.0)):
            other = self.best(methods, "ece")
            found = self.compared("ece", other, "ratio")
            yield self.claim("calibration: ECE by case over the rival's", found, f"≤ {most:.2f}", le, most, other)
        for name, title in (("brier", "Brier"), ("nll", "NLL")):
            other = self.best(SINGLE, name)
            found = self.compared(name, other, "ratio")
            yield self.claim(f"calibration: {title} over the rival's", found, "≤ 1.00", le, 1.0, other)
        other = self.best(ENSEMBLE, "volume_crps_ml")
        found = self.compared("volume_crps_ml", other, "ratio")
        yield self.claim("joint: volume CRPS over the rival's", found, "≤ 1.00", le, 1.0, other)
        other = self.best(ENSEMBLE, "error_auroc", highest=True)
        found = self.compared("error_auroc", other, "difference")
        yield self.claim("where: error AUROC minus the rival's", found, "≥ 0", ge, 0.0, other)
        ours, rival = (
            report.case_aurc(report.select(self.scores, method)) for method in (report.CROSS_VALIDATED, ENSEMBLE[0])
        )
        yield self.claim("where: AURC minus the rival's", estimate([ours - rival]), "≤ 0", le, 0.0, ENSEMBLE[0])
        held = report.coverage(report.select(self.scores, report.CROSS_VALIDATED))
        yield self.claim(
            "intervals: coverage of 90 % volume intervals",
            estimate([held]),
            ".87 to .93",
            lambda value, _: 0.87 <= value <= 0.93,
        )


def read(folder: Path) -> report.Scores:
    """Return the scores that a folder keeps of the patients; none where it keeps none."""
    path = folder / FILE
    return report.load_scores(path) if path.exists() else []


def claims(scores: report.Scores, machine: str) -> list[Claim]:
    """Return the claims on the patients; none where none was scored."""
    return list(Patients(scores, machine).claims()) if scores else []


def tables(scores: report.Scores) -> list[str]:
    """Return the tables of the cross-validation in Markdown, under a heading; none where no patient was scored."""
    if not scores:
        return []
    parts = (report.table, report.difference_table, report.missing_table, report.failure_table)
    return ["### Sarcoma patients, each tested once", *(part(scores) for part in parts)]
