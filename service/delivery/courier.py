"""Delivery, put together: check, send what is still to be sent, confirm."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from entrust.errors import DeliveryRefusedError, EnTrustError, InvalidInputError
from service.delivery.checking import Checker
from service.delivery.instances import InstanceRef
from service.delivery.interface import is_transient
from service.delivery.outcomes import Outcome, Outcomes, Verdict, raise_for
from service.dicom_json import Json
from service.observability.logs import get_logger

log = get_logger(__name__)
DELIVER, CONFIRM = "deliver", "confirm"
OnOutcomes = Callable[[str, str, Outcomes], None]
_MAX_UNFINISHED = 1000
"""Deliveries of which it is remembered what the receiver has of them already; older ones are sent whole."""


class Sender(Protocol):
    """Speaks a protocol to one target."""

    async def send(self, study_uid: str, refs: Sequence[InstanceRef], /) -> Outcomes:
        """Send instances, and return what became of each."""


class Confirmer(Protocol):
    """Finds out in one way what one target has."""

    async def confirm(self, study_uid: str, refs: Sequence[InstanceRef], /) -> Outcomes:
        """Return for each instance whether the target has it."""


class Passage(Protocol):
    """Lets work through to one target."""

    def check(self) -> None:
        """Raise a transient error while nobody would be let through."""

    def passing(self) -> AbstractAsyncContextManager[None]:
        """Return the block of one piece of work."""


class DeliveryObserver(Protocol):
    """Told what becomes of deliveries. Must return at once and never raise."""

    def delivery_attempted(self, *, target: str, stage: str, outcome: str, duration_seconds: float) -> None:
        """Hear of a stage (``deliver``, ``confirm``): ``done``, ``postponed`` or ``refused``."""

    def instance_sent(self, *, target: str, outcome: str) -> None:
        """Hear of an instance: ``stored``, ``warned``, ``postponed`` or ``refused``."""


@dataclass(frozen=True, eq=False)
class Route:
    """All that leads to one target.

    Attributes:
        gate: Lets through so many at a time, and none while the target is down.
        sender: Sends.
        confirmer: Confirms; None where the target's first word is believed.
        sop_classes: Of the results that the target is given.
    """

    gate: Passage
    sender: Sender
    confirmer: Confirmer | None
    sop_classes: frozenset[str]


class Courier:
    """Delivers by the routes that there are; see :class:`service.delivery.Delivery`.

    Args:
        routes: By the target's name.
        checker: Looks at every set of results before it leaves.
        observer: Hears of it.
        on_outcomes: Told of the target, the stage, and what became of each instance in it.
    """

    def __init__(
        self,
        routes: Mapping[str, Route],
        checker: Checker,
        observer: DeliveryObserver,
        on_outcomes: OnOutcomes = lambda _target, _stage, _outcomes: None,
    ) -> None:
        self._routes = dict(routes)
        self._checker = checker
        self._observer = observer
        self._on_outcomes = on_outcomes
        self._unfinished: OrderedDict[tuple[str, ...], dict[str, Outcome]] = OrderedDict()

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the receivers."""
        return tuple(self._routes)

    def gives(self, target: str, sop_class_uid: str) -> bool:
        """Tell whether a target is given results of a class."""
        return target in self._routes and sop_class_uid in self._routes[target].sop_classes

    async def deliver(
        self, study_uid: str, instances: Sequence[Path], target: str, attributes: Json | None = None
    ) -> None:
        """Check one set of results against its images and send what the target is given of it.

        What is sent already stays so.

        Raises:
            EnTrustError: See :class:`service.delivery.Delivery`.
        """
        route = self._route(target)
        with _Stage(self._observer, target, DELIVER):
            route.gate.check()
            refs = await asyncio.to_thread(lambda: [InstanceRef.of(path) for path in instances])
            await asyncio.to_thread(self._checker.check, study_uid, refs, attributes)
            refs = [ref for ref in refs if self.gives(target, ref.sop_class_uid)]
            if not refs:
                raise DeliveryRefusedError(
                    f"Of this set of results the target {target} is given nothing.", fix="See its objects."
                )
            key = (target, *sorted(ref.sop_instance_uid for ref in refs))
            known = self._unfinished.pop(key, {})
            left = [ref for ref in refs if ref.sop_instance_uid not in known]
            try:
                async with route.gate.passing():
                    outcomes = await route.sender.send(study_uid, left) if left else {}
                    self._note(target, outcomes)
                    self._on_outcomes(target, DELIVER, outcomes)
                    known |= outcomes
                    if not any(outcome.verdict is Verdict.STORED for outcome in outcomes.values()):
                        raise_for(refs, known, failed="were not taken")  # within: this speaks against the target
                raise_for(refs, known, failed="were not taken")
            except EnTrustError as error:
                if is_transient(error):
                    self._remember(key, known)
                raise

    async def confirm(self, study_uid: str, instances: Sequence[InstanceRef], target: str) -> None:
        """Return when the receiver has what was delivered, in the way that is set for it.

        Raises:
            EnTrustError: See :class:`service.delivery.Delivery`.
        """
        route = self._route(target)
        with _Stage(self._observer, target, CONFIRM):
            if route.confirmer is None:
                return
            instances = [ref for ref in instances if self.gives(target, ref.sop_class_uid)]
            async with route.gate.passing():
                outcomes = await route.confirmer.confirm(study_uid, instances)
            self._on_outcomes(target, CONFIRM, outcomes)
            raise_for(instances, outcomes, failed="are not confirmed")

    def _route(self, target: str) -> Route:
        try:
            return self._routes[target]
        except KeyError:
            raise InvalidInputError(
                "There is no target of that name.",
                fix=f"Targets: {', '.join(self._routes) or 'none; see ENTRUST_DELIVERY__TARGETS__…'}.",
            ) from None

    def _note(self, target: str, outcomes: Outcomes) -> None:
        for outcome in outcomes.values():
            self._observer.instance_sent(target=target, outcome="warned" if outcome.warned else outcome.verdict.value)

    def _remember(self, key: tuple[str, ...], outcomes: Outcomes) -> None:
        """Keep what is settled, so that the next attempt sends only the rest."""
        settled = {uid: one for uid, one in outcomes.items() if one.verdict is not Verdict.POSTPONED}
        if settled:
            self._unfinished[key] = settled
        while len(self._unfinished) > _MAX_UNFINISHED:
            self._unfinished.popitem(last=False)


class _Stage:
    """Measures one stage, and tells of its end."""

    def __init__(self, observer: DeliveryObserver, target: str, stage: str) -> None:
        self._observer, self._target, self._stage = observer, target, stage

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        seconds = time.perf_counter() - self._started
        outcome = "done" if error is None else "postponed" if _may_yet(error) else "refused"
        self._observer.delivery_attempted(
            target=self._target, stage=self._stage, outcome=outcome, duration_seconds=seconds
        )
        facts = {"target": self._target, "stage": self._stage, "outcome": outcome, "duration_seconds": seconds}
        if isinstance(error, EnTrustError):
            log.warning("delivery-attempted", kind=error.kind, cause=error.message, **facts)
        else:
            log.info("delivery-attempted", **facts)


def _may_yet(error: BaseException) -> bool:
    """Tell whether a stage may end well another time; one that was cancelled may."""
    return is_transient(error) or isinstance(error, asyncio.CancelledError)
