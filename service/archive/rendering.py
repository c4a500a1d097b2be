"""A frame as people see it: windowed grey values or colours, as PNG or JPEG (PS3.18 10.4.1.1.6, PS3.4 N.2)."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from entrust.errors import EnTrustError, NotFoundError, UnsupportedMediaError
from service.archive.frames import decoded_frame
from service.archive.part10 import Opened, opened
from service.ingest.headers import PARSE_FAILURES, deviations

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG"}
_LARGEST = float(np.finfo(np.float32).max)
_SHARE_OUTSIDE = 0.5
"""Percent of the pixels that may be darker, and brighter, than the window where none is stated."""


@dataclass(frozen=True)
class Rendering:
    """How a frame is shown.

    Attributes:
        media_type: One of :data:`FORMATS`.
        window: Centre and width in the modality's units; the object's own when None.
        size: Largest width and height in pixels; the frame's own when None.
        quality: Of JPEG, 1 to 100.
    """

    media_type: str = "image/png"
    window: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    quality: int = 90


def render(path: Path, number: int, how: Rendering) -> bytes:
    """Return one frame as a picture.

    Args:
        path: The file.
        number: Frame, from 1.
        how: Format, window, size.

    Raises:
        NotFoundError: There is no such frame.
        UnsupportedMediaError: It cannot be decoded or shown.
    """
    with opened(path) as file, deviations():
        if not 1 <= number <= file.num_frames:
            raise NotFoundError("There is no such frame.")
        frame = decoded_frame(file, number, raw=False)
        try:
            picture = Image.fromarray(_colours(file, frame) if _is_colour(file) else _greys(file, frame, number, how))
        except EnTrustError:
            raise
        except PARSE_FAILURES as error:
            raise UnsupportedMediaError("The frame cannot be shown.", fix="Ask for the instance itself.") from error
    if how.size is not None:
        scale = min(how.size[0] / picture.width, how.size[1] / picture.height)
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    out = BytesIO()
    picture.save(out, FORMATS[how.media_type], quality=how.quality)
    return out.getvalue()


def _is_colour(file: Opened) -> bool:
    return str(file.header.get("PhotometricInterpretation")) not in ("MONOCHROME1", "MONOCHROME2")


def _colours(file: Opened, frame: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "h w 3"]:
    if str(file.header.PhotometricInterpretation) == "PALETTE COLOR":
        frame = apply_color_lut(frame, file.header)
    depth = 16 if frame.dtype.itemsize > 1 else 8
    return np.asarray(frame >> (depth - 8) if depth > 8 else frame, np.uint8)


def _greys(file: Opened, frame: Shaped[np.ndarray, "h w"], number: int, how: Rendering) -> UInt8[np.ndarray, "h w"]:
    ds = _flat(file.header, number)
    values = np.asarray(apply_modality_lut(frame, ds), np.float64)
    values = np.nan_to_num(values, posinf=_LARGEST, neginf=-_LARGEST)
    if how.window is not None:
        shown = _windowed(values, *how.window)
    elif "VOILUTSequence" in ds and np.issubdtype(frame.dtype, np.integer):
        looked_up = np.asarray(apply_voi_lut(values.astype(frame.dtype), ds, prefer_lut=True), np.float64)
        shown = _stretched(looked_up, looked_up.min(), looked_up.max())
    elif ds.get("WindowWidth") not in (None, "", []):
        shown = _windowed(values, _first(ds.WindowCenter), _first(ds.WindowWidth))
    elif int(ds.get("BitsAllocated") or 0) == 1:
        shown = _stretched(values, 0.0, 1.0)
    else:
        low, high = np.percentile(values, [_SHARE_OUTSIDE, 100.0 - _SHARE_OUTSIDE])
        shown = _stretched(values, low, high) if high > low else _stretched(values, values.min(), values.max())
    if str(ds.get("PhotometricInterpretation")) == "MONOCHROME1":
        shown = 1.0 - shown
    return np.asarray(np.rint(shown * 255.0), np.uint8)


def _windowed(values: Float[np.ndarray, "h w"], centre: float, width: float) -> Float[np.ndarray, "h w"]:
    """Apply the linear window of PS3.3 C.11.2.1.2.1."""
    if width <= 1.0:  # of maps with values in [0, 1] the exact form is meant (C.11.2.1.3.2)
        return _stretched(values, centre - width / 2.0, centre + width / 2.0)
    return np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _stretched(values: Float[np.ndarray, "h w"], low: float, high: float) -> Float[np.ndarray, "h w"]:
    return np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)


def _flat(header: Dataset, number: int) -> Dataset:
    """Return the tags of one frame: those of its functional groups beside those of the object."""
    flat = Dataset()
    flat.update({tag: header[tag] for tag in header.keys() if tag.group in (0x0008, 0x0028)})  # noqa: SIM118
    shared = header.get("SharedFunctionalGroupsSequence") or []
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared, *per_frame[number - 1 : number]]:
        for keyword in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
            for item in group.get(keyword) or []:
                flat.update(item)
    return flat


def _first(value: Any) -> float:
    return float(value if isinstance(value, str) or not hasattr(value, "__getitem__") else value[0])
