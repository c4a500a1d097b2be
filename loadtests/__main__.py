"""The whole load test: ``python -m loadtests``, or ``--quick`` for a few minutes of it."""

import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from deploy.prometheus.server import Prometheus
from loadtests.kills import KillRun, measure_kills
from loadtests.machine import describe_machine
from loadtests.memory import MemorySample, watched
from loadtests.offered_load import LoadStage, estimate_capacity, run_stage
from loadtests.plan import FULL, QUICK, Plan
from loadtests.report import ROOT, write
from loadtests.results import Results
from loadtests.service import SupervisedGateway, running_service
from loadtests.step_latency import StepLatency, measure, observed
from loadtests.studies import write_archives
from loadtests.transport import measure_transport
from service.startup import make_metrics

SATURATION = 2.0
"""Of the roughly known capacity: enough that somebody always waits."""
OVERFLOW = 6.0
"""Times that an overload could fill all the room there is, at least: a short one would else refuse nobody."""
ENOUGH_JOBS = 20
"""Below this, what was answered under saturation says less of the capacity than studies sent one by one."""
MEGABYTES = 1.2
"""Of the identity model's tensor, there and back: as much as a step's noise, estimate, conditioning and answer."""


def run(plan: Plan, folder: Path, command: str) -> Results:
    """Measure everything, one thing after the other.

    Args:
        plan: How much.
        folder: For what is sent, records, logs; emptied of nothing.
        command: What repeats it, for the report.
    """
    machine = describe_machine()
    archives = write_archives(folder / "archives")
    _say("transport")
    transport = asyncio.run(measure_transport(MEGABYTES, plan.transport_rounds))
    with ExitStack() as stack:
        metrics = make_metrics()
        service = stack.enter_context(running_service(folder / "service", plan.settings))
        prometheus = stack.enter_context(observed(service, metrics, folder))
        if prometheus is None:
            _say("no Prometheus is installed: no distribution of steps and stages (apt-get install prometheus)")
        _say(f"one study's steps, {plan.step_rounds} times each way")
        options = {"num_hypotheses": plan.step_hypotheses, "num_steps": plan.step_steps, "rounds": plan.step_rounds}
        steps: StepLatency = asyncio.run(measure(service, metrics, prometheus, archives[plan.step_study], **options))
        capacity, stages, memory = _loads(plan, service, prometheus, folder, archives)
    kills = _kills(plan, capacity, folder)
    study = f"One {plan.step_study} study, K = {plan.step_hypotheses}, S = {plan.step_steps}"
    return Results(
        machine, command, transport, steps, study, capacity, plan.max_queued + 1, stages, stages[-1].name, memory, kills
    )


def _loads(
    plan: Plan, service: SupervisedGateway, prometheus: Prometheus | None, folder: Path, archives: dict[str, Path]
) -> tuple[float, list[LoadStage], list[MemorySample]]:
    """Find the capacity, and offer loads around it."""
    _say("capacity")
    rough = estimate_capacity(service, archives)
    stages: list[LoadStage] = []

    def stage(name: str, offered: float, seconds: float) -> LoadStage:
        _say(f"{name}: {offered:.2f} jobs/s for {seconds:.0f} s")
        made = run_stage(
            service, name, offered, seconds, folder=folder, archives=folder / "archives", prometheus=prometheus,
            seed=len(stages),
        )  # fmt: skip
        stages.append(made)
        return made

    with watched(service) as memory:
        saturated = stage("saturation", SATURATION * rough, plan.saturation_seconds)
        capacity = saturated.throughput if len(saturated.accepted) >= ENOUGH_JOBS else rough
        for fraction in plan.fractions:
            stage(f"load-{fraction:g}", fraction * capacity, plan.stage_seconds)
        offered = plan.overload * capacity
        stage("overload", offered, max(plan.overload_seconds, OVERFLOW * (plan.max_queued + 1) / offered))
    return capacity, stages, memory.samples


def _kills(plan: Plan, capacity: float, folder: Path) -> dict[str, KillRun]:
    found: dict[str, KillRun] = {}
    for target in plan.targets:
        _say(f"kills: {target}, {plan.kills} times")
        where = folder / "kills" / target.replace(" ", "-")
        where.mkdir(parents=True, exist_ok=True)
        found[target] = measure_kills(
            target, plan.kills, plan.kill_load * capacity, folder=where, archives=folder / "archives",
            settings={"ENTRUST_TRITON__TASKS": plan.tasks},
        )  # fmt: skip
    return found


def _say(what: str) -> None:
    typer.echo(f"load: {what}", err=True)


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A few minutes instead of a quarter of an hour.")] = False,
    share: Annotated[float, typer.Option(min=0.05, max=1.0, help="Of the times and numbers of a whole run.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Folder for what is measured.")] = ROOT / "out" / "load",
    documents: Annotated[
        Path | None, typer.Option(help="Folder whose benchmarks.md, load.json and pictures are written.")
    ] = None,
) -> None:
    """Load the service on this machine in every way, and write the report."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # whatever was started is stopped in order
    out.mkdir(parents=True, exist_ok=True)
    plan, command = (QUICK, "make load-quick") if quick else (FULL, "make load")
    if share < 1.0:
        plan, command = plan.shortened(share), f"{command} SHARE={share:g}"
    results = run(plan, out, command)
    results.save(out / "results.json")
    write(results, documents or out)
    _say(f"report: {(documents or out) / 'benchmarks.md'}")


if __name__ == "__main__":
    typer.run(main)
