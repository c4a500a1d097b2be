"""What is inside EnFuse's parts: linear probes for the modality and the conflict, judged on other patients.

A part that is to be shared anatomy should not tell its modality; one that is to be a modality's cue should; the
conflict should be told by F_cf and not by F_c.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, le, lt

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int

from entrust import metrics
from entrust.networks.enfuse import EnFuse
from training.benchmark.claims import Claim
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, gather, markdown
from training.datasets.phantoms.world.case import WorldCase, get_domain
from training.fit_head import MARGIN_MM
from training.predict import slice_chunks

SHARED, CUES, CONFLICT, GATE = "F_c", "F_u", "F_cf", "G"
TITLES = {
    SHARED: "F_c, shared anatomy",
    CUES: "F_u, modality cues",
    CONFLICT: "F_cf, conflict features",
    GATE: "G, the gate itself, without a probe",
}
COLUMNS = {"modality": "modality, accuracy", "chance": "chance", "conflict": "conflict, AUROC"}
RIDGE = 1e-3
"""Added to the pooled variances of standardised features."""


@dataclass(frozen=True, eq=False)
class Discriminant:
    """Fisher's linear discriminant of K classes with one pooled covariance: the closed form of a linear probe.

    Attributes:
        mean: Of all features.
        deviation: Of all features.
        weights: Of the standardised features.
        offsets: Of each class.
    """

    mean: Float[np.ndarray, "f"]
    deviation: Float[np.ndarray, "f"]
    weights: Float[np.ndarray, "f k"]
    offsets: Float[np.ndarray, "k"]

    @classmethod
    def fit(cls, features: Float[np.ndarray, "n f"], classes: Int[np.ndarray, "n"], num: int) -> "Discriminant":
        """Fit on examples; every class needs one.

        Source: Hastie, Tibshirani & Friedman, The Elements of Statistical Learning, 2009, section 4.3.
        """
        mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
        x = (features - mean) / deviation
        centres = np.stack([x[classes == k].mean(axis=0) for k in range(num)])
        apart = x - centres[classes]
        pooled = apart.T @ apart / len(x) + RIDGE * np.eye(x.shape[1])
        weights = np.linalg.solve(pooled, centres.T)
        share = np.bincount(classes, minlength=num) / len(classes)
        return cls(mean, deviation, weights, np.log(share) - 0.5 * (centres * weights.T).sum(axis=1))

    def scores(self, features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n k"]:
        """Return log-probabilities of the classes, up to one constant an example."""
        return np.asarray((features - self.mean) / self.deviation @ self.weights + self.offsets)


@dataclass(frozen=True, eq=False)
class Insides:
    """EnFuse's parts of one case at the finest scale, at the positions near any reader's foreground.

    Attributes:
        by_modality: F_c and F_u of each modality alone, [n, m, f]. Of one modality, F_c is its shared code.
        fused: F_c, F_u (of all modalities) and F_cf of the complete case, [n, f]; G, [n, 1].
        conflict: Where modalities disagree, [n].
    """

    by_modality: Mapping[str, Float32[np.ndarray, "n m f"]]
    fused: Mapping[str, Float32[np.ndarray, "n f"]]
    conflict: Bool[np.ndarray, "n"]


@torch.inference_mode()
def look_inside(enfuse: EnFuse, bench: Bench, case: WorldCase) -> Insides:
    """Return what EnFuse makes of a case."""
    task, training_case = bench.task, case.as_training_case()
    m = task.num_modalities
    anyone = np.asarray((case.labels >= case.domain.lesion_level).any(axis=0))
    near = metrics.foreground_domain(anyone, anyone, spacing_mm=case.scene.space.spacing_mm, margin_mm=MARGIN_MM)
    parts: dict[str, list[np.ndarray]] = {}
    for depths, images, presence in slice_chunks(task, training_case):
        b, (h, w) = len(images), images.shape[-2:]
        scale = enfuse(images, presence, torch.ones(b, 1, m), torch.ones(b, 1)).scales[0]

        def half(mask: np.ndarray, depths: np.ndarray = depths, size: tuple[int, int] = (h, w)) -> np.ndarray:
            """Return the share of each position of the finest scale that a mask covers."""
            full = np.zeros((len(depths), *size), np.float32)
            full[:, : mask.shape[1], : mask.shape[2]] = mask[depths]
            return np.asarray(full.reshape(len(depths), size[0] // 2, 2, size[1] // 2, 2).mean(axis=(2, 4)))

        place = half(near | case.conflict) > 0
        here = {
            "codes": scale.shared_codes.movedim((1, 2), (-2, -1)),
            "cues": scale.modality_cues.movedim((1, 2), (-2, -1)),
            SHARED: scale.shared_anatomy.movedim(1, -1),
            CUES: scale.modality_cues.flatten(1, 2).movedim(1, -1),
            CONFLICT: scale.conflict_features.movedim(1, -1),
            GATE: torch.sigmoid(scale.conflict_logit).movedim(1, -1),
        }
        for name, value in here.items():
            parts.setdefault(name, []).append(value.float().numpy()[place])
        parts.setdefault("conflict", []).append(half(case.conflict)[place] >= 0.5)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    return Insides(
        {SHARED: joined["codes"], CUES: joined["cues"]},
        {name: joined[name] for name in TITLES},
        joined["conflict"],
    )


def _stacked(by_modality: Float32[np.ndarray, "n m f"]) -> tuple[np.ndarray, np.ndarray]:
    """Return examples [n · m, f] and the modality of each."""
    n, m, f = by_modality.shape
    return by_modality.reshape(n * m, f).astype(np.float64), np.tile(np.arange(m), n)


def judge(fitted_on: Sequence[Insides], judged_on: Sequence[Insides]) -> Numbers:
    """Fit the probes on some cases, and return for each other one how well they do."""
    m = next(iter(fitted_on[0].by_modality.values())).shape[1]
    modality = {
        name: Discriminant.fit(*_stacked(np.concatenate([i.by_modality[name] for i in fitted_on])), m)
        for name in fitted_on[0].by_modality
    }
    disputed = np.concatenate([i.conflict for i in fitted_on]).astype(int)
    conflict = {
        name: Discriminant.fit(np.concatenate([i.fused[name] for i in fitted_on]).astype(np.float64), disputed, 2)
        for name in TITLES
    }
    found = []
    for inside in judged_on:
        lines: dict[str, dict[str, float]] = {name: {"chance": 1.0 / m} for name in modality}
        for name, probe in modality.items():
            examples, which = _stacked(inside.by_modality[name])
            lines[name]["modality"] = float((probe.scores(examples).argmax(axis=1) == which).mean())
        for name, probe in conflict.items():
            scores = probe.scores(inside.fused[name].astype(np.float64))
            lines.setdefault(name, {})["conflict"] = metrics.auroc(scores[:, 1] - scores[:, 0], inside.conflict)
        found.append(lines)
    return gather(found)


def measure(bench: Bench) -> Numbers:
    """Fit probes on the calibration cases, and judge them on the test cases."""
    networks = bench.networks(ENTRUST)
    if networks is None:
        return {}
    enfuse = networks.enfuse
    fitted_on = [look_inside(enfuse, bench, case) for case in bench.held()]
    return judge(fitted_on, [look_inside(enfuse, bench, case) for case in bench.tests()])


def claims(kept: Kept) -> Iterator[Claim]:
    """The parts hold what they are for, and no more."""
    chance = 1.0 / len(get_domain(kept.domain).slugs)
    found = kept.value(SHARED, "modality")
    yield kept.claim("inside: modality told from F_c", found, f"≤ chance + .10: {chance + 0.1:.2f}", le, chance + 0.1)
    yield kept.claim("inside: modality told from F_u", kept.value(CUES, "modality"), "≥ .95", ge, 0.95)
    found = kept.value(CONFLICT, "conflict")
    yield kept.claim("inside: AUROC of the conflict from F_cf", found, "≥ .90", ge, 0.9)
    found = kept.compared(SHARED, CONFLICT, "conflict", "difference")
    yield kept.claim("inside: AUROC of the conflict from F_c minus that from F_cf", found, "< −.10", lt, -0.1)


def tell(kept: Kept) -> str:
    """Return the table in Markdown."""
    return (
        f"**Inside EnFuse** (linear probes, fitted on calibration patients; {kept.size}). Modality: of each modality "
        "alone.\n\n" + markdown(kept, COLUMNS, "part", TITLES)
    )
