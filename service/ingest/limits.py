"""How much one upload may hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IngestLimits:
    """Bounds on what is read; passing one is a :class:`entrust.errors.TooLargeError`.

    Attributes:
        max_files: Files in a folder, or entries in a zip.
        max_bytes: Size of all files together, as sent.
        max_uncompressed_bytes: Size of a zip's content, and of any single deflated DICOM file, unpacked.
        max_ratio: Unpacked size over packed size, for archives that unpack to more than
            ``ratio_exempt_bytes``.
        ratio_exempt_bytes: An archive smaller than this may compress as well as it likes: phantoms do.
        max_voxels: Voxels of all volumes together.
    """

    max_files: int = 20_000
    max_bytes: int = 4 << 30
    max_uncompressed_bytes: int = 8 << 30
    max_ratio: float = 100.0
    ratio_exempt_bytes: int = 64 << 20
    max_voxels: int = 500_000_000
