"""When an archive takes nothing more: how full its disk may become."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from entrust.errors import OverloadedError


@dataclass(frozen=True)
class Watermark:
    """What must stay free.

    Attributes:
        max_used_ratio: Largest share of the disk that may be in use, by whomever, in [0, 1].
        min_free_bytes: What must be left besides.
    """

    max_used_ratio: float = 0.95
    min_free_bytes: int = 1 << 30

    def check(self, folder: Path) -> None:
        """Refuse what is new where the disk is too full.

        Raises:
            OverloadedError: It is.
        """
        usage = shutil.disk_usage(folder)
        if usage.free < self.min_free_bytes or usage.total - usage.free > self.max_used_ratio * usage.total:
            raise OverloadedError(
                "The archive's disk is nearly full.",
                retry_after_seconds=60.0,
                fix="Try again later; the operator must make room.",
            )


def free_ratio(folder: Path) -> float:
    """Return the share of a folder's disk that is free."""
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total
