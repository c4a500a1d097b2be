"""DICOM instances as bytes, and the multipart bodies that carry them."""

from collections.abc import Iterable
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset

from tests.factories.dicom_series import build_series, plane_grid

BOUNDARY = "0e3f"


def part10(ds: Dataset) -> bytes:
    """Return a data set in the DICOM File Format."""
    out = BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def small_series(num_instances: int = 3, modality: str = "CT", *, rows: int = 24, **kwargs: object) -> list[Dataset]:
    """Return a series of small slices."""
    grid = plane_grid("axial", (num_instances, rows, rows - 4))
    values = np.random.default_rng(0).integers(0, 1000, grid.shape).astype(float)
    return build_series(values, grid, modality, **kwargs)  # type: ignore[arg-type]


def related(parts: Iterable[bytes], media_type: str = "application/dicom") -> bytes:
    """Return the body of a store request."""
    head = f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
"""Content-Type of :func:`related`."""
