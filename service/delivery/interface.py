"""What those who have results to deliver need to know."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from entrust.errors import DeadlineExceededError, DeliveryFailedError, DeliveryRefusedError, OverloadedError
from service.delivery.instances import InstanceRef
from service.dicom_json import Json


class Delivery(Protocol):
    """Hands results over to the targets that a deployment has named."""

    async def deliver(
        self, study_uid: str, instances: Sequence[Path], target: str, attributes: Json | None = None
    ) -> None:
        """Check one set of results against its images and send what the target is given; again does no harm.

        Args:
            study_uid: StudyInstanceUID of all of them.
            instances: One whole set of results, as files.
            target: Name of the receiver.
            attributes: What they say of patient and request before what the images say, as DICOM JSON.

        Raises:
            EnTrustError: It was not delivered; :func:`is_transient` tells whether to try again.
        """

    async def confirm(self, study_uid: str, instances: Sequence[InstanceRef], target: str) -> None:
        """Return when the receiver has what was delivered, in the way that is set for it.

        Args:
            study_uid: StudyInstanceUID of all of them.
            instances: What was delivered.
            target: Name of the receiver.

        Raises:
            EnTrustError: That is not so; :func:`is_transient` tells whether it may be yet.
        """

    def gives(self, target: str, sop_class_uid: str) -> bool:
        """Tell whether a target is given results of a class; False of a target that there is not."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the receivers."""


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again later may help; what is not transient belongs among the dead letters."""
    return isinstance(error, DeliveryFailedError | OverloadedError | DeadlineExceededError) and not isinstance(
        error, DeliveryRefusedError
    )
