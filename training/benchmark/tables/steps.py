"""Few steps: the diffusion model of the first stage in up to ten steps, against the released sampler in two."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import le

from entrust.noise import NoiseModel
from entrust.uncertainty import label_maps
from training.benchmark.answers import ask_entrust
from training.benchmark.claims import Claim
from training.benchmark.plan import ENTRUST, FEW_STEP_NOISE, NOISE, base_of
from training.benchmark.tables.bench import Bench
from training.benchmark.tables.kept import Kept, Numbers, gather, markdown
from training.benchmark.truth import world_truth
from training.scorecard import score_hypotheses


@dataclass(frozen=True)
class Sampler:
    """One way to draw hypotheses.

    Attributes:
        method: Whose networks.
        steps: S.
        noise: Of the start.
        title: In tables.
    """

    method: str
    steps: int
    noise: NoiseModel
    title: str


RELEASED = "two steps"
TEACHERS = ("S = 10", "S = 10, smooth")
"""The first stage in ten steps, from the noise it was fitted with and from that of the released sampler."""
SAMPLERS = {
    RELEASED: Sampler(ENTRUST, 2, FEW_STEP_NOISE, "released, 2 steps"),
    **{f"S = {s}": Sampler(base_of(ENTRUST), s, NOISE, f"first stage, {s} steps") for s in (10, 5, 3, 2)},
    "S = 10, smooth": Sampler(base_of(ENTRUST), 10, FEW_STEP_NOISE, "first stage, 10 steps, smooth noise alone"),
}
COLUMNS = {
    "ged": "GED",
    "mode_frequency_error": "mode freq.",
    "coherence": "coherence",
    "joint_state": "joint state",
    "volume_crps_ml": "CRPS, ml",
}


def measure(bench: Bench) -> Numbers:
    """Draw hypotheses in each way; of the released networks alone where the first stage is not there."""
    networks = {method: bench.networks(method) for method in (ENTRUST, base_of(ENTRUST))}
    found = []
    for case in bench.tests():
        truth, lines = world_truth(case, 1), {}
        for name, sampler in SAMPLERS.items():
            asked = networks[sampler.method]
            if asked is not None:
                task = replace(bench.task, num_steps=sampler.steps, noise=sampler.noise)
                raw = ask_entrust(asked, task, case.as_training_case(), seed=case.index, probing=False)
                assert raw.samples is not None  # EnTrust has hypotheses  # noqa: S101
                lines[name] = score_hypotheses(label_maps(raw.samples), truth)
        found.append(lines)
    return gather(found)


def claims(kept: Kept) -> Iterator[Claim]:
    """Two steps draw hypotheses as good as those of ten."""
    for teacher in TEACHERS:
        for name, title in (("ged", "GED"), ("mode_frequency_error", "mode frequency error")):
            found = kept.compared(RELEASED, teacher, name, "ratio")
            claim = f"few steps: {title} of two steps over that of ten"
            yield kept.claim(claim, found, "≤ 1.10", le, 1.1, SAMPLERS[teacher].title)


def tell(kept: Kept) -> str:
    """Return the table in Markdown."""
    titles = {name: sampler.title for name, sampler in SAMPLERS.items()}
    return f"**Few steps** (DDIM, K = 16; {kept.size}).\n\n" + markdown(kept, COLUMNS, "sampler", titles)
