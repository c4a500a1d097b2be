"""Train, evaluate and release: ``python -m training --task oncology`` does all of it and goes on where it stopped."""

from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from entrust.contract import ONCOLOGY, FittedConstants, ModelCard, get_task
from entrust.errors import EnTrustError, InvalidInputError, NotFoundError
from entrust.networks.calibration_head import CalibrationHead
from entrust.networks.release import ServedNetworks, load_release, save_release
from training import localisation, report, simulated_scores
from training.baselines.rival import RIVALS
from training.config import FitConfig, conflict_stage
from training.datasets.oncology import ATTRIBUTION
from training.datasets.simulated import LOCALISATION_SEEDS
from training.entrust_model import EnTrustNetworks
from training.evaluate import CalibratedModel, rival_temperature, score_entrust, score_rival
from training.fit_calibration import calibrate
from training.hypotheses_cache import without
from training.runs import COMPARED, RELEASE, RUN_NAMES, STAGES, Run

VERSION = "1.1.0"
ENTRUST = STAGES[-1]
"""The model that is released."""
PROJECT = Path(__file__).resolve().parents[1]

console = Console()


class Stage(StrEnum):
    """A part of the work; each needs those before it."""

    FIT = "fit"
    RELEASE = "release"
    EVALUATE = "evaluate"
    LOCALISE = "localise"
    SIMULATE = "simulate"
    REPORT = "report"


def fit_models(run: Run) -> None:
    """Fit EnTrust to release; its first stage and the rivals in the cross-validation runs."""

    def progress(model: str) -> Any:
        return lambda iteration, losses, seconds: console.print(
            f"{run.name} {model} {iteration} "
            + " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            + f"  {seconds:.2f} s/it"
        )

    if run.name == RELEASE:
        run.fit(ENTRUST, progress(ENTRUST))
        return
    run.fit(STAGES[0], progress(STAGES[0]))
    for name in COMPARED:
        run.fit_rival(RIVALS[name], progress(name))


def calibrated(run: Run, name: str) -> tuple[CalibratedModel, int]:
    """Return one of a run's EnTrust models, calibrated, and how long its head was fitted."""
    networks = run.fit(name)
    if not isinstance(networks, EnTrustNetworks):
        raise NotFoundError("The run holds no EnTrust of that name.", fix="Fit it first.")
    head, constants, iterations = calibrate(run, name, networks)
    console.print(
        f"{run.name} {name}: κ {constants.kappa}, volume scale {constants.volume_interval_scale}, "
        f"head after {iterations} iterations"
    )
    return CalibratedModel(run, name, networks, head, constants), iterations


def evaluate(run: Run, names: list[str], *, subsets: bool) -> None:
    """Score a run's test patients and write ``scores.json``."""
    patients = run.patients(run.split.test)
    scores = []
    for name in names:
        model, _ = calibrated(run, name)
        identity = replace(model, head=CalibrationHead(run.task.num_features, run.task.num_classes))
        for case in patients:
            missing = [without(case, [i]) for i in range(run.task.num_modalities)] if subsets else []
            scores += [score_entrust(model, name, given) for given in (case, *missing)]
            scores.append(score_entrust(identity, f"{name}, uncalibrated", case))
    for name in COMPARED:
        rival, modules = RIVALS[name], run.fit_rival(RIVALS[name])
        temperature = rival_temperature(run, rival, modules)
        console.print(f"{run.name} {name}: temperature {temperature:.2f}")
        for case in patients:
            scores.append(score_rival(run, rival, modules, 1.0, name, case))
            scores.append(score_rival(run, rival, modules, temperature, f"{name}+temperature", case))
    report.write_scores(run.folder / "scores.json", [s.as_dict() for s in scores])


def release_weights(run: Run, folder: Path) -> ModelCard:
    """Calibrate the released networks and write the weights with what they are made of."""
    model, iterations = calibrated(run, ENTRUST)
    networks, constants = model.networks, model.constants
    split, scores = run.split, report.read_scores(run.folder.parent)
    served = ServedNetworks(
        networks.enfuse,
        networks.denoiser,
        model.head,
        ModelCard(task=run.task.name, version=VERSION, digest="", constants=FittedConstants()),
    )
    return save_release(
        folder,
        served,
        version=VERSION,
        constants=constants,
        facts={
            "data": {
                "name": "Soft-tissue sarcoma: CT, FDG PET and T1 MR with the gross tumour volume",
                "attribution": ATTRIBUTION,
                "licence": "CC BY 3.0",
                "phantoms": f"{conflict_stage(run.config).num_phantoms} simulated limbs",
            },
            "licence": "Apache-2.0",
            "splits": asdict(split),
            "held_out": "The test patients serve as demonstration; they are in neither training nor calibration.",
            "config": {"first_stage": asdict(run.config), "conflict_stage": asdict(conflict_stage(run.config))},
            "calibration_head_iterations": iterations,
            "seed": run.config.seed,
            "torch": torch.__version__.split("+")[0],
            "cross_validation": report.summary(scores) if scores else {},
        },
    )


def main(
    task: Annotated[str, typer.Option(help="Task to train.")] = "oncology",
    stage: Annotated[list[Stage] | None, typer.Option(help="Only these parts; all when not given.")] = None,
    run: Annotated[list[str] | None, typer.Option(help="Only these runs: release, fold0 … fold4.")] = None,
    folder: Annotated[Path, typer.Option(help="Checkpoints and intermediate results.")] = PROJECT / "runs",
    weights: Annotated[Path, typer.Option(help="Where released weights go.")] = PROJECT / "weights",
    model: Annotated[list[str] | None, typer.Option(help="Only these EnTrust models when evaluating.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the fits.")] = 0,
    subsets: Annotated[bool, typer.Option(help="Also score every patient without one modality each.")] = True,
    keep: Annotated[
        Path | None, typer.Option(help="Keep all scores in this file: that of `make bench-science`.")
    ] = None,
) -> None:
    """Fit, calibrate, release, evaluate by 5-fold cross-validation, and print the tables; resumable at any point."""
    try:
        if get_task(task).name != ONCOLOGY.name:
            raise InvalidInputError(
                f"No patients of task {task!r} are known here.", fix=f"Fit it on phantoms: make train TASK={task}."
            )
        stages = stage or list(Stage)
        runs = {name: Run(name, folder, FitConfig(task=task, seed=seed)) for name in (run or RUN_NAMES)}
        for one in runs.values():
            if Stage.FIT in stages:
                fit_models(one)
            if Stage.EVALUATE in stages and one.name != RELEASE:
                evaluate(one, model or [STAGES[0]], subsets=subsets)
        if Stage.RELEASE in stages and RELEASE in runs:
            card = release_weights(runs[RELEASE], weights)
            console.print(f"released {card.task} {card.version}, digest {card.digest[:12]}, {card.constants}")
        if Stage.LOCALISE in stages:
            released = load_release(get_task(task), weights / f"{task}.safetensors")
            constants = released.card.constants
            print(
                localisation.table(
                    localisation.localise(released.enfuse, get_task(task), constants.conflict_threshold)
                ),
                end="\n\n",
            )
        if Stage.SIMULATE in stages:
            released = load_release(get_task(task), weights / f"{task}.safetensors")
            print(simulated_scores.scores_table(released, get_task(task), LOCALISATION_SEEDS), end="\n\n")
        if Stage.REPORT in stages:
            scores = report.read_scores(folder / f"seed{seed}" / task)
            if keep is not None:
                report.write_scores(keep, scores)
            for part in (report.table, report.difference_table, report.missing_table, report.failure_table):
                print(part(scores), end="\n\n")  # plain, so that it can be copied
    except EnTrustError as error:
        console.print(f"[red]{error}[/red]")
        raise SystemExit(1) from None


if __name__ == "__main__":
    typer.run(main)
