"""Stored pixels → real-world values, and one message per way in which that fails."""

from pathlib import Path

import gdcm
import numpy as np
from jaxtyping import Float, Shaped
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import UID, RLELossless

from entrust.errors import InvalidInputError, UnsupportedMediaError
from service.ingest.codestreams import declared_pixels
from service.ingest.frames import Frame
from service.ingest.headers import PARSE_FAILURES, set_transfer_syntax

gdcm.Trace.WarningOff()  # it writes to standard error otherwise
gdcm.Trace.ErrorOff()
gdcm.Trace.DebugOff()

if "pylibjpeg" in get_decoder(RLELossless).available_plugins:
    # It panics on damaged data with an exception that no handler of Exception sees; pydicom's own decoder does not.
    get_decoder(RLELossless).remove_plugin("pylibjpeg")

SOUND_SYNTAXES = {
    "1.2.840.10008.1.2": "uncompressed",
    "1.2.840.10008.1.2.1": "uncompressed",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.2": "uncompressed",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K",
    "1.2.840.10008.1.2.4.202": "HTJ2K",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}
"""What the decoders are known to handle: a failure in one of these means damaged data, in others a missing decoder."""


def check_greyscale(header: Dataset) -> None:
    """Refuse colour and palettes, whose values measure nothing.

    Raises:
        UnsupportedMediaError: Not one greyscale sample per pixel.
        InvalidInputError: The header does not say.
    """
    photometric = str(header.get("PhotometricInterpretation") or "")
    if not photometric:
        raise InvalidInputError(
            "Tags that say how pixels are stored are missing or damaged.", fix="Export the study again from its source."
        )
    if header.get("SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedMediaError(
            "The images are in colour; only greyscale images carry measured values.",
            fix="Send the original acquisition, not a secondary capture.",
        )


def stored_pixels(path: Path) -> Shaped[np.ndarray, "n h w"]:
    """Decode all frames of one file.

    Raises:
        UnsupportedMediaError: No decoder for the transfer syntax, or it fails.
        InvalidInputError: Truncated or damaged pixel data.
    """
    syntax = UID("")
    try:
        ds = dcmread(path, force=True)
        set_transfer_syntax(ds)
        syntax = ds.file_meta.TransferSyntaxUID
        if not any(keyword in ds for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise InvalidInputError("Images lack their pixel data.", fix="Export the study again from its source.")
        _check_declared_size(ds)
        array = np.asarray(ds.pixel_array)
    except InvalidInputError:
        raise
    except (*PARSE_FAILURES, MemoryError) as error:
        if syntax in SOUND_SYNTAXES or not syntax:
            raise InvalidInputError(
                f"The pixel data ({SOUND_SYNTAXES.get(syntax, 'unknown encoding')}) are truncated or damaged.",
                fix="Export the study again from its source.",
            ) from error
        name = syntax.name if syntax.name != syntax else "an unknown transfer syntax"
        raise UnsupportedMediaError(
            f"Images are compressed with {name}, which is not decoded here.",
            fix="Send them uncompressed, or with JPEG lossless, JPEG-LS, JPEG 2000 or RLE.",
        ) from error
    return array if array.ndim == 3 else array[None]


def _check_declared_size(ds: Dataset) -> None:
    """Refuse a codestream that is larger than the header says, before a decoder reserves memory for it."""
    if not ds.file_meta.TransferSyntaxUID.is_encapsulated or "PixelData" not in ds:
        return
    for frame in generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames") or 1)):
        pixels = declared_pixels(frame)
        if pixels is not None and pixels > ds.Rows * ds.Columns:
            raise InvalidInputError(
                "A compressed image is larger than its header says.", fix="Export the study again from its source."
            )


def real_world(frame: Frame, stored: Shaped[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Apply the frame's modality transform (PS3.3 C.11.1).

    Raises:
        InvalidInputError: A shape that the header denies, an impossible slope, or values that are not finite.
    """
    if stored.shape != frame.shape:
        raise InvalidInputError("The pixel data have another size than the header says.")
    if "ModalityLUTSequence" in frame.header and "PerFrameFunctionalGroupsSequence" not in frame.header:
        try:
            values = np.asarray(apply_modality_lut(stored, frame.header), dtype=np.float32)
        except PARSE_FAILURES as error:
            raise InvalidInputError("The modality look-up table cannot be applied.") from error
    else:
        if not np.isfinite([frame.slope, frame.intercept]).all() or frame.slope == 0.0:
            raise InvalidInputError("The rescale slope or intercept of an image is impossible.")
        values = (stored.astype(np.float64) * frame.slope + frame.intercept).astype(np.float32)
    if not np.isfinite(values).all():
        raise InvalidInputError(
            "The images hold values that are not finite numbers.", fix="Replace NaN and infinity at the source."
        )
    return values
