"""Results are handed to every target, confirmed, and tried again where that may help."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from entrust.contract import TASKS
from entrust.errors import DeliveryFailedError, DeliveryRefusedError, EnTrustError
from service.app import open_pipeline
from service.archive import Archive, Watermark
from service.delivery import InstanceRef
from service.dicom_json import Json
from service.ingest import IngestLimits
from service.selection import load_rules, with_quiet_seconds
from service.settings import Settings
from service.startup import make_metrics
from service.studies import Studies, StudyState
from service.studies.engine import EngineSettings
from service.studies.record import Sent
from service.studies.steps import StudyParameters
from service.studies.studies import StudiesSettings, open_studies
from service.studies.transitions import Move, Transition
from service.triton.embedded import EmbeddedTriton
from tests.factories.studies import dicom_bytes, dicom_datasets

pytestmark = pytest.mark.timeout(1200)


class Folders:
    """Targets that are folders; what goes wrong is said beforehand."""

    def __init__(self, root: Path, *targets: str) -> None:
        self.root = root
        self.targets = targets
        self.failures: dict[str, list[EnTrustError]] = {target: [] for target in targets}
        self.unconfirmed = Counter[str]()
        self.calls = Counter[str]()

    async def deliver(
        self, study_uid: str, instances: Sequence[Path], target: str, attributes: Json | None = None
    ) -> None:
        self.calls[target] += 1
        if self.failures[target]:
            raise self.failures[target].pop(0)
        (self.root / target).mkdir(parents=True, exist_ok=True)
        for path in instances:
            (self.root / target / path.name).write_bytes(path.read_bytes())

    def gives(self, target: str, sop_class_uid: str) -> bool:
        return target in self.targets

    async def confirm(self, study_uid: str, instances: Sequence[InstanceRef], target: str) -> None:
        if self.unconfirmed[target] > 0:
            self.unconfirmed[target] -= 1
            raise DeliveryFailedError("The target has not confirmed yet.")
        assert len(list((self.root / target).iterdir())) == len(instances)


OpenStudies = Callable[[Folders, list[Transition]], contextlib.AbstractAsyncContextManager[Studies]]


@pytest.fixture
def open_them(triton: EmbeddedTriton, tmp_path: Path) -> OpenStudies:
    @contextlib.asynccontextmanager
    async def opened(delivery: Folders, told: list[Transition]) -> AsyncIterator[Studies]:
        metrics = make_metrics()
        settings = Settings.model_validate({"triton": {"url": triton.url}})
        rules = with_quiet_seconds(load_rules(None, TASKS), 1.0)
        asked = StudiesSettings(StudyParameters(1, 1), EngineSettings(retries=2, retry_seconds=0.05))
        with contextlib.closing(Archive(tmp_path / "archive", watermark=Watermark(1.0, 0))) as archive:
            async with (
                open_pipeline(settings, metrics) as pipeline,
                open_studies(
                    archive, pipeline, rules, IngestLimits(), metrics, delivery, asked, listeners=[told.append]
                ) as studies,
            ):
                yield studies

    return opened


def put(folder: Path, **tags: Any) -> str:
    """Store a study as a door does."""
    datasets = dicom_datasets(("ct",), tags)
    with contextlib.closing(Archive(folder, watermark=Watermark(1.0, 0))) as archive:
        for ds in datasets:
            archive.store(dicom_bytes(ds))
    return str(datasets[0].StudyInstanceUID)


def steps(told: list[Transition], step: str, target: str = "") -> list[Move]:
    return [t.move for t in told if t.step == step and t.target == target]


async def test_each_target_gets_the_results_and_confirms_them(open_them: OpenStudies, tmp_path: Path) -> None:
    delivery, told = Folders(tmp_path / "sent", "pacs", "viewer"), list[Transition]()
    delivery.failures["viewer"] = [DeliveryFailedError("The target is down.")]
    delivery.unconfirmed["pacs"] = 1
    study = put(tmp_path / "archive")
    async with open_them(delivery, told) as studies:
        found = await studies.await_end(await studies.submit(study))
    assert found.state is StudyState.SUCCEEDED, found
    assert found.targets == {"pacs": Sent.CONFIRMED, "viewer": Sent.CONFIRMED}
    for target in delivery.targets:
        assert len(list((tmp_path / "sent" / target).iterdir())) == len(found.results) == 4
    assert steps(told, "deliver", "viewer") == [Move.STARTED, Move.RETRIED, Move.STARTED, Move.DONE]
    assert steps(told, "confirm", "pacs") == [Move.STARTED, Move.RETRIED, Move.STARTED, Move.DONE]
    assert [t.move for t in told if not t.step] == [Move.ACCEPTED, Move.SUCCEEDED]


async def test_a_target_that_refuses_is_a_dead_letter_and_is_tried_alone_again(
    open_them: OpenStudies, tmp_path: Path
) -> None:
    delivery, told = Folders(tmp_path / "sent", "pacs", "viewer"), list[Transition]()
    delivery.failures["viewer"] = [DeliveryRefusedError("The target does not take it.")]
    study = put(tmp_path / "archive")
    async with open_them(delivery, told) as studies:
        found = await studies.await_end(await studies.submit(study))
        assert found.state is StudyState.FAILED
        assert found.failure is not None
        assert found.failure.message == "The target does not take it."
        assert found.targets == {"pacs": Sent.CONFIRMED, "viewer": Sent.FAILED}
        assert steps(told, "deliver", "viewer") == [Move.STARTED, Move.FAILED], "what is refused is not tried again"
        again = await studies.await_end((await studies.restart(study)).id)
        assert again.state is StudyState.SUCCEEDED
        assert again.run == 2
    assert delivery.calls == {"pacs": 1, "viewer": 2}
    assert steps(told, "infer") == [Move.STARTED, Move.DONE], "inference is not repeated"


async def test_a_target_that_stays_down_is_a_dead_letter_in_the_end(open_them: OpenStudies, tmp_path: Path) -> None:
    delivery, told = Folders(tmp_path / "sent", "pacs"), list[Transition]()
    delivery.failures["pacs"] = [DeliveryFailedError("The target is down.")] * 3
    study = put(tmp_path / "archive")
    async with open_them(delivery, told) as studies:
        found = await studies.await_end(await studies.submit(study))
    assert found.state is StudyState.FAILED
    assert delivery.calls == {"pacs": 3}
    assert steps(told, "deliver", "pacs")[-1] is Move.FAILED
