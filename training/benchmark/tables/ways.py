"""What is run when the cost of a method is measured: each way of asking, in a process of its own.

``python -m training.benchmark.tables.ways lesion ensemble`` prints one line of JSON. Weights are random: cost does not
hang on what they are.
"""

import argparse
import ctypes
import gc
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from training.baselines.rival import RIVALS, rivals
from training.baselines.volume import predict_volume
from training.benchmark.plan import BUDGETS, ENTRUST, OFFSETS, QUICK, Budget, Piece, fit_config
from training.benchmark.task import world_task
from training.datasets.case import TrainingCase
from training.datasets.phantoms.world.case import DOMAINS, get_domain, make_case
from training.datasets.phantoms.world.splits import TEST
from training.entrust_model import EnTrustNetworks
from training.predict import CHUNK, predict_hypotheses

NUM_HYPOTHESES = 8
"""K, as served."""
ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Way:
    """One way of asking a method about a volume.

    Attributes:
        method: ``entrust`` or a rival.
        title: In tables.
        hypotheses: K.
        steps: S; the task's if 0.
        probing: Whether the probes are asked.
        apart: Whether the denoiser sees one slice and hypothesis at a time.
        chunk: Slices a pass.
    """

    method: str
    title: str
    hypotheses: int = NUM_HYPOTHESES
    steps: int = 0
    probing: bool = True
    apart: bool = False
    chunk: int = CHUNK


WAYS: Mapping[str, Way] = {
    ENTRUST: Way(ENTRUST, "EnTrust, 2 steps, with probes"),
    "entrust-unprobed": Way(ENTRUST, "EnTrust, 2 steps, without probes", probing=False),
    "entrust-apart": Way(ENTRUST, "EnTrust, without probes, a hypothesis at a time", probing=False, apart=True),
    "entrust-slices": Way(
        ENTRUST, "EnTrust, without probes, a slice and hypothesis at a time", probing=False, apart=True, chunk=1
    ),
    "entrust-marginal": Way(ENTRUST, "EnTrust, the marginal alone: one step, K = 1", 1, 1, probing=False),
    **{name: Way(name, name) for name in RIVALS},
    "ensemble-slices": Way(ENSEMBLE, "ensemble, a slice at a time", chunk=1),
}


class Apart(nn.Module):
    """A denoiser that is asked about one slice and hypothesis at a time: the same answers, less memory.

    Args:
        denoiser: The denoiser.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x: Tensor, clean: Tensor, t: Tensor, conditioning: Tensor) -> Tensor:
        """Predict logits; see :class:`entrust.networks.segdiff.Denoiser`."""
        answer = torch.empty_like(x)
        for i in range(x.shape[0]):
            for k in range(x.shape[1]):
                one = (slice(i, i + 1), slice(k, k + 1))
                answer[one] = self.denoiser(x[one], clean[one], t[i : i + 1], conditioning[i : i + 1])
        return answer


@dataclass(frozen=True)
class Cost:
    """What a way of asking took, in one process.

    Attributes:
        parameters: Of all modules.
        flops: Of the matrix products and convolutions of one volume.
        weights_mib: Resident memory after the weights minus before.
        peak_mib: Largest resident memory minus that before the weights.
        cpu_seconds: Processor time of one volume, the least of some.
    """

    parameters: int
    flops: int
    weights_mib: float
    peak_mib: float
    cpu_seconds: float


def resident_mib(which: str = "VmRSS") -> float:
    """Return the process's resident memory, or with ``VmHWM`` its peak, in MiB."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free is not in use; a peak does not change by it
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None  # the kernel's own words  # noqa: S101
    return int(found[1]) / 1024.0


def build(way: Way, domain: str, budget: Budget) -> tuple[list[nn.Module], Callable[[TrainingCase], object]]:
    """Return a method's modules with random weights, and how to ask them about a case in this way."""
    world, task = get_domain(domain), world_task(domain)
    if way.method == ENTRUST:
        networks = EnTrustNetworks(fit_config(Piece(domain, ENTRUST, 0), budget)).eval()
        served: list[nn.Module] = [networks.enfuse, networks.denoiser]
        denoiser = Apart(networks.denoiser) if way.apart else networks.denoiser
        return served, lambda case: predict_hypotheses(
            networks.enfuse,
            denoiser,
            task,
            case,
            num_hypotheses=way.hypotheses,
            num_steps=way.steps or task.num_steps,
            seed=0,
            probing=way.probing,
            chunk=way.chunk,
        )
    rival = rivals(budget.widths)[way.method]
    shape = (task.num_modalities, len(world.structures) + 1, len(OFFSETS))
    modules = [rival.build(*shape).eval() for _ in range(rival.num_modules)]
    return modules, lambda case: predict_volume(
        rival, modules, task, case, num_hypotheses=way.hypotheses, seed=0, chunk=way.chunk
    )


def cost(way: Way, domain: str, budget: Budget, repeats: int) -> Cost:
    """Measure a way of asking, in this process, which must be fresh."""
    case = make_case(get_domain(domain), TEST, 0).as_training_case()
    build(way, domain, QUICK)[1](case)  # small networks load the code that large ones run
    before = resident_mib()
    modules, ask = build(way, domain, budget)
    loaded = resident_mib()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    ask(case)
    peak = resident_mib("VmHWM")
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        ask(case)
        seconds.append(time.process_time() - start)
    with FlopCounterMode(display=False) as counter:
        ask(case)
    return Cost(
        parameters=sum(p.numel() for module in modules for p in module.parameters()),
        flops=counter.get_total_flops(),
        weights_mib=loaded - before,
        peak_mib=peak - before,
        cpu_seconds=min(seconds),
    )


def main() -> None:
    """Print the cost of one way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("domain", choices=DOMAINS)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--budget", choices=BUDGETS, default="full")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    budget = BUDGETS[options.budget]
    print(json.dumps(asdict(cost(WAYS[options.way], options.domain, budget, options.repeats))))


if __name__ == "__main__":
    main()
