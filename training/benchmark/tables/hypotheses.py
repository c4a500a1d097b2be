"""How many hypotheses calibration needs, and of which mean it is made."""

from collections.abc import Iterator
from operator import le

import numpy as np
from jaxtyping import Float32

from entrust.uncertainty import label_maps
from training.benchmark.answers import Raw, ask_entrust, fit_mixture, mixture_of
from training.benchmark.claims import Claim
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, gather, markdown
from training.benchmark.truth import world_truth
from training.datasets.phantoms.world.case import WorldCase
from training.scorecard import Answer, score

COUNTS = (4, 8, 16, 32)
"""K."""
MEANS = {
    "marginal": "p1, the marginal of the first step",
    "soft": "mean of the hypotheses' probabilities",
    "hard": "mean of the hypotheses' masks",
    "mixture": "mixture by κ",
}
COLUMNS = {
    "ece.foreground": "ECE",
    "ece_to_truth.foreground": "ECE to p*",
    "brier.foreground": "Brier",
    "nll.foreground": "NLL",
    "probability_error.foreground": "∣p − p*∣",
    "kappa": "κ",
}
SERVED = 8


def line(mean: str, count: int) -> str:
    """Return the name of a line."""
    return f"{mean}, K = {count}"


def measure(bench: Bench) -> Numbers:
    """Score each mean at each K, without any other calibration than κ, fitted at that K."""
    networks, task, held = bench.networks(ENTRUST), bench.task, bench.held()
    if networks is None:
        return {}

    def ask(case: WorldCase, count: int) -> Raw:
        training_case = case.as_training_case()
        return ask_entrust(networks, task, training_case, seed=case.index, num_hypotheses=count, probing=False)

    kappas = {
        count: fit_mixture([ask(case, count) for case in held], [case.as_training_case() for case in held])
        for count in COUNTS
    }
    found = []
    for case in bench.tests():
        truth, lines = world_truth(case, 1), {}
        for count, kappa in kappas.items():
            for mean, p in means(ask(case, count), kappa).items():
                answer = Answer(np.moveaxis(p, 1, 0), truth.draws, 1.0 - p.max(axis=1), confidence=0.0)
                numbers = {**score(answer, truth, {}).numbers, "kappa": kappa if mean == "mixture" else np.nan}
                lines[line(mean, count)] = {name: numbers[name] for name in COLUMNS}
        found.append(lines)
    return gather(found)


def means(raw: Raw, kappa: float) -> dict[str, Float32[np.ndarray, "d c h w"]]:
    """Return the probabilities that can be made of EnTrust's answer, by :data:`MEANS`."""
    assert raw.samples is not None  # EnTrust has hypotheses  # noqa: S101
    one_hot = np.eye(raw.samples.shape[2], dtype=np.float32)
    hard = np.moveaxis(one_hot[label_maps(raw.samples)].mean(axis=0), -1, 1)
    return {
        "marginal": raw.marginal,
        "soft": raw.samples.mean(axis=0),
        "hard": hard,
        "mixture": mixture_of(raw, kappa),
    }


def claims(kept: Kept) -> Iterator[Claim]:
    """The served mixture is as calibrated as any mean at any K."""
    for mean in ("marginal", "soft", "hard"):
        found = kept.compared(line("mixture", SERVED), line(mean, SERVED), "ece.foreground", "ratio")
        claim = f"hypotheses: ECE of the mixture at K = {SERVED} over that of another mean"
        yield kept.claim(claim, found, "≤ 1.00", le, 1.0, MEANS[mean])
    found = kept.compared(line("mixture", SERVED), line("mixture", max(COUNTS)), "ece.foreground", "ratio")
    claim = f"hypotheses: ECE of the mixture at K = {SERVED} over that at K = {max(COUNTS)}"
    yield kept.claim(claim, found, "≤ 1.10", le, 1.1)


def tell(kept: Kept) -> str:
    """Return the table in Markdown."""
    titles = {line(mean, count): f"{title}, K = {count}" for mean, title in MEANS.items() for count in COUNTS}
    return f"**Calibration and K** (no head; {kept.size}).\n\n" + markdown(kept, COLUMNS, "probability", titles)
