"""What each idea is worth: EnTrust without it."""

from collections.abc import Iterator
from dataclasses import replace
from operator import ge, lt

from entrust.uncertainty import Hypotheses
from training.benchmark.ablations import ABLATIONS
from training.benchmark.answers import Raw
from training.benchmark.claims import Claim
from training.benchmark.evaluate import calibrated, said
from training.benchmark.plan import ENTRUST
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, gather, markdown
from training.benchmark.truth import world_truth
from training.datasets.phantoms.world.case import WorldCase
from training.scorecard import score

UNPROBED = "entrust-without-probes"
HEADLESS = f"{ENTRUST}+raw"
WHOLE = f"{ENTRUST}+head"
LINES = {
    WHOLE: "EnTrust",
    HEADLESS: "without the calibration head",
    f"{UNPROBED}+head": "without probing: neither the head nor the conflict map hears of it",
    **{f"{name}+head": ablation.title for name, ablation in ABLATIONS.items()},
}
"""Line → title."""
CONFLICT = "conflict_aupr.off boundary"
COLUMNS = {
    "dice": "Dice",
    "ece.foreground": "ECE",
    "nll.foreground": "NLL",
    "ged": "GED",
    "joint_state": "joint state",
    CONFLICT: "conflict AUPR",
    "attribution": "attribution",
    "error_auroc": "error AUROC",
}


def without_probes(raw: Raw) -> Raw:
    """Return an answer of which the unchanged study alone was asked."""
    found = raw.hypotheses
    assert isinstance(found, Hypotheses)  # EnTrust's own  # noqa: S101
    base = replace(found, probes=found.probes[:1], probe_marginals=found.probe_marginals[:1])
    return replace(raw, hypotheses=base)


def measure(bench: Bench) -> Numbers:
    """Score EnTrust and what is left of it without each idea; where a fit is not finished, it is left out."""
    asked, task = bench.methods((ENTRUST, *ABLATIONS)), bench.task
    whole = next((method for method in asked if method.name == ENTRUST), None)
    if whole is not None:
        ask = whole.ask

        def unprobed(case: WorldCase) -> Raw:
            return without_probes(ask(case))

        asked.append(calibrated(UNPROBED, unprobed, bench.held(), bench.budget))
    found = []
    for case in bench.tests():
        truth, lines = world_truth(case, 1), {}
        for method in asked:
            answers = said(method, case, task)
            for name in (f"{method.name}+head", HEADLESS):
                if name in answers:
                    numbers = score(answers[name], truth).numbers
                    lines[name] = {column: numbers[column] for column in COLUMNS if column in numbers}
        found.append(lines)
    return gather(found)


def claims(kept: Kept) -> Iterator[Claim]:
    """Each idea earns its place."""
    fits = [name for name in LINES if name not in (WHOLE, HEADLESS)]
    for name in fits:
        found = kept.compared(WHOLE, name, "nll.foreground", "difference")
        yield kept.claim("ablation: NLL minus that of EnTrust with less", found, "< 0", lt, 0.0, LINES[name])
    found = kept.compared(WHOLE, HEADLESS, "ece.foreground", "difference")
    yield kept.claim("ablation: ECE minus that of EnTrust with less", found, "< 0", lt, 0.0, LINES[HEADLESS])
    gate = "entrust-without-gate+head"
    found = kept.compared(WHOLE, gate, CONFLICT, "ratio")
    yield kept.claim("ablation: AUPR of the conflict map over that with less", found, "≥ 2", ge, 2.0, LINES[gate])


def tell(kept: Kept) -> str:
    """Return the table in Markdown."""
    return f"**Ablations** ({kept.size}).\n\n" + markdown(kept, COLUMNS, "EnTrust", LINES)
