"""What a study asks of whoever hands its results over."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class InstanceRef:
    """A result, by its names.

    Attributes:
        sop_class_uid: SOPClassUID.
        sop_instance_uid: SOPInstanceUID. Never logged.
    """

    sop_class_uid: str
    sop_instance_uid: str


class Delivery(Protocol):
    """Hands results over to other systems."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the systems that get every result."""
        ...

    async def deliver(self, study_uid: str, instances: Sequence[Path], target: str) -> None:
        """Hand instances over; doing so again changes nothing.

        Raises:
            EnTrustError: It could not be done; :func:`service.studies.failing.is_transient` says what is tried again.
        """
        ...

    async def confirm(self, study_uid: str, instances: Sequence[InstanceRef], target: str) -> None:
        """Return when the target has said that it keeps the instances.

        Raises:
            EnTrustError: It has not.
        """
        ...


class NoDelivery:
    """Hands nothing over: results are read here."""

    targets: tuple[str, ...] = ()

    async def deliver(self, study_uid: str, instances: Sequence[Path], target: str) -> None:
        """Do nothing."""

    async def confirm(self, study_uid: str, instances: Sequence[InstanceRef], target: str) -> None:
        """Do nothing."""
