"""Where results go that are handed over to nobody."""

from collections.abc import Sequence
from pathlib import Path

from service.delivery import InstanceRef


class NoDelivery:
    """Hands nothing over: results are read here; see :class:`service.delivery.Delivery`."""

    targets: tuple[str, ...] = ()

    async def deliver(self, study_uid: str, instances: Sequence[Path], target: str) -> None:
        """Do nothing."""

    async def confirm(self, study_uid: str, instances: Sequence[InstanceRef], target: str) -> None:
        """Do nothing."""
