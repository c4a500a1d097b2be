"""The order of the rooms."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from entrust.conflict import probe_shifts
from entrust.contract import TASKS, ModelCard, Task, get_task
from entrust.errors import InvalidInputError, TooLargeError
from entrust.trustmap import TrustMap, build_trust_map, calibration_features
from service import audit
from service.encode import Extra, ResultFile, encode
from service.inference import InferenceResult, TritonClient, calibrate, run_inference
from service.ingest import IngestLimits, inspect_study, overlay, read_nifti_study, read_study
from service.observability.activities import Activities
from service.observability.metrics import Metrics
from service.pipeline.request import OnProgress, SegmentationRequest, Source
from service.pipeline.run import Run
from service.pipeline.served import ModelState, ServedModels
from service.prepare import describe_appearance, prepare_case
from service.selection import Rules, Selection, select, settle_task, task_of_modalities, tasks_with
from service.study import Case, Study
from service.summary import Provenance, Summary
from service.trust import raise_uncertainty, summarise

MAX_EXPLAINED_SERIES = 200
"""A study has tens of series; an explanation of thousands would be read by nobody."""


@dataclass(frozen=True, eq=False)
class Inferred:
    """What the networks made of a study: all that its files are written from.

    Attributes:
        case: The prepared study.
        trust_map: The answer, on the case's grid.
        summary: The answer in words and numbers.
        card: The weights.
        provenance: How they were run.
    """

    case: Case
    trust_map: TrustMap
    summary: Summary
    card: ModelCard
    provenance: Provenance


class Pipeline:
    """Takes a study from bytes to result files.

    Args:
        client: Triton.
        limits: Bounds on what is read.
        rules: Which series plays which role.
        metrics: Told of stages, warnings and trust.
        precision: What the deployed engines compute in, a label of the metrics.
        chunk: Slices in one call to Triton.
    """

    def __init__(
        self, client: TritonClient, *, limits: IngestLimits, rules: Rules, metrics: Metrics, precision: str, chunk: int
    ) -> None:
        self.rules = rules
        self._client = client
        self._limits = limits
        self._metrics = metrics
        self._activities = Activities(metrics)
        self._precision = precision
        self._chunk = chunk
        self._served = ServedModels(client)

    async def models(self) -> tuple[ModelState, ...]:
        """Say of every task whether it is served as the contract promises."""
        return await self._served.states()

    async def segment(
        self,
        request: SegmentationRequest,
        source: Source,
        *,
        on_progress: OnProgress = lambda _stage, _step, _of: None,
        cancelled: asyncio.Event | None = None,
    ) -> tuple[ResultFile, ...]:
        """Segment a study, and say where and why the answer may be wrong.

        Args:
            request: What is asked.
            source: The study.
            on_progress: Told of stages and steps, on the event loop's thread.
            cancelled: Looked at between stages and steps.

        Returns:
            The result files.

        Raises:
            EnTrustError: Whatever stands in the way, by its kind.
        """
        run = Run(self._activities, request.task, on_progress, cancelled or asyncio.Event())
        inferred = await self._infer(run, request, source, imported=True)
        return await self._encode(run, inferred, request.extra_results)

    async def infer(self, request: SegmentationRequest, source: Source) -> Inferred:
        """Do the first half of :meth:`segment`: all but the files.

        Raises:
            EnTrustError: As :meth:`segment`.
        """
        return await self._infer(self._run(request.task), request, source)

    async def prepare(self, request: SegmentationRequest, source: Source) -> Case:
        """Prepare a study as :meth:`infer` does.

        Raises:
            EnTrustError: As :meth:`segment`.
        """
        return await self._prepare(self._run(request.task), request, source)

    async def encode(self, inferred: Inferred, extras: Collection[Extra] = ()) -> tuple[ResultFile, ...]:
        """Do the second half of :meth:`segment`: the files.

        Raises:
            InternalError: A DICOM result does not agree with its sources.
        """
        return await self._encode(self._run(inferred.case.task.name), inferred, extras)

    def _run(self, task: str) -> Run:
        return Run(self._activities, task, lambda _stage, _step, _of: None, asyncio.Event())

    async def _prepare(self, run: Run, request: SegmentationRequest, source: Source, *, imported: bool = False) -> Case:
        task = get_task(request.task)
        await self._served.check_deployed(task)
        with run.stage("ingest"):
            study = await run.in_thread(_read, source, self._limits)
            if request.attributes:
                study = await run.in_thread(overlay, study, request.attributes)
        if imported:  # what lies in the archive has come by a door that has told of it
            audit.record(audit.Event(audit.What.IMPORTED, study_uid=study.uid))
        with run.stage("prepare"):
            case = await run.in_thread(prepare_study, study, task, self.rules, request.assignment)
            if request.extra_results and not case.reference.datasets:  # told before the long work begins
                raise InvalidInputError(
                    "Further DICOM results were asked for, but the study did not come as DICOM.",
                    fix="Send DICOM, or ask for no extra_results.",
                )
        run.passed(audit.Hop.SELECTED, study.uid, "ingest", "prepare")
        return case

    async def _infer(
        self, run: Run, request: SegmentationRequest, source: Source, *, imported: bool = False
    ) -> Inferred:
        case = await self._prepare(run, request, source, imported=imported)
        task = case.task
        for warning in case.warnings:
            self._metrics.input_warning(warning.code)
        appearance = await run.in_thread(describe_appearance, case)
        self._metrics.inputs(
            task=task.name,
            intensities=appearance.intensities,
            coverage=appearance.coverage,
            slice_spacing_mm=appearance.slice_spacing_mm,
        )
        card = await self._served.card(task, run)
        with run.stage("inference"):
            inference = await run_inference(
                self._client,
                case,
                card,
                num_hypotheses=request.num_hypotheses,
                num_steps=request.num_steps,
                seed=request.seed,
                sampler=request.sampler,
                on_progress=run.on_progress,
                cancelled=run.cancelled,
                chunk=self._chunk,
                precision=self._precision,
                observer=self._activities,
            )
        with run.stage("trust"):
            trust_map = await self._trust(run, case, card, inference)
            trust_map = await run.in_thread(raise_uncertainty, trust_map, case)
            provenance = Provenance(
                request.seed, request.num_hypotheses, request.num_steps, request.sampler, eta=task.eta
            )
            summary = await run.in_thread(
                summarise, case, trust_map, card, provenance, unimodal=inference.hypotheses.unimodal
            )
        run.passed(audit.Hop.INFERRED, _study_uid(case), "inference", "trust")
        self._metrics.trust(
            task=task.name,
            uncertain_share=summary.uncertain.share,
            conflict_share={"-".join(pair.modalities): pair.share for pair in summary.conflict},
            agreement=summary.agreement,
            complete=not case.missing,
            digest=card.digest,
        )
        summary = summary.with_timings(run.stages_seconds, inference.timings.step_seconds)
        return Inferred(case, trust_map, summary, card, provenance)

    async def _encode(self, run: Run, inferred: Inferred, extras: Collection[Extra]) -> tuple[ResultFile, ...]:
        with run.stage("encode"):
            files = await run.in_thread(
                encode, inferred.case, inferred.trust_map, inferred.summary, inferred.card, inferred.provenance, extras
            )
        run.passed(audit.Hop.ENCODED, _study_uid(inferred.case), "encode")
        return files

    async def explain_selection(self, source: Path, rules: Rules, *, task: str = "") -> Selection:
        """Say what rules make of a study, without segmenting it.

        Args:
            source: Folder or file.
            rules: What to choose by.
            task: The task that is asked for; the first of the rules that fits when empty.

        Raises:
            EnTrustError: The study cannot be read, or a limit was passed.
        """
        return await asyncio.to_thread(explain_selection, source, rules, self._limits, task=task)

    async def settle_task(self, source: Source) -> str:
        """Return the name of the task that a study is for, where nobody named it.

        Args:
            source: The study; of DICOM, headers are read.

        Raises:
            EnTrustError: The study cannot be read, no task fits, or several do.
        """
        if not isinstance(source, Path):
            return task_of_modalities(tasks_with(source, TASKS), TASKS)
        series = await asyncio.to_thread(inspect_study, source, limits=self._limits)
        return settle_task(series, self.rules, TASKS)

    async def _trust(self, run: Run, case: Case, card: ModelCard, inference: InferenceResult) -> TrustMap:
        task, hypotheses = case.task, inference.hypotheses

        def features() -> tuple[Any, Float[np.ndarray, "d f h w"]]:
            shifts = probe_shifts(task, hypotheses.probes, hypotheses.probe_marginals)
            return shifts, calibration_features(task, hypotheses, shifts, card.constants, case.presence)

        shifts, seen = await run.in_thread(features)
        probability, error_probability = await calibrate(self._client, task, seen, observer=self._activities)
        imaged = np.asarray(case.presence.any(axis=0))
        return await run.in_thread(
            build_trust_map, task, hypotheses, shifts, card.constants, probability, error_probability, imaged
        )


def _study_uid(case: Case) -> str:
    """Return the StudyInstanceUID of a case; empty for NIfTI."""
    datasets = case.reference.datasets
    return str(datasets[0].StudyInstanceUID) if datasets else ""


def explain_selection(source: Path, rules: Rules, limits: IngestLimits, *, task: str = "") -> Selection:
    """Say what rules make of a study, from its headers alone; see :meth:`Pipeline.explain_selection`."""
    series = inspect_study(source, limits=limits)
    if len(series) > MAX_EXPLAINED_SERIES:
        raise TooLargeError(
            f"The study has more than {MAX_EXPLAINED_SERIES} series.",
            fix="Send those that the rules are about.",
            details={"series": len(series), "limit": MAX_EXPLAINED_SERIES},
        )
    return select(series, rules, TASKS, task=task and get_task(task).name)


def prepare_study(study: Study, task: Task, rules: Rules, assignment: Mapping[str, str] | None = None) -> Case:
    """Choose the series of a study and bring them to the task's grid.

    Args:
        study: Decoded series.
        task: What is asked.
        rules: Which series plays which role.
        assignment: Series that the caller named, by modality.

    Raises:
        InvalidInputError: As :func:`service.prepare.prepare_case`, or the assignment names what is not there.
    """
    selection = select([series.header for series in study.series], rules, TASKS, task=task.name, assignment=assignment)
    return prepare_case(study, task, selection.cast(study))


def _read(source: Source, limits: IngestLimits) -> Study:
    if isinstance(source, Path):
        return read_study(source, limits=limits)
    return read_nifti_study(source, limits=limits)
