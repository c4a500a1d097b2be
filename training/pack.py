"""Pack the real patients for a machine without network: ``python -m training.pack`` writes ``out/training-pack.zip``.

On that machine the archive stands in PYTHONPATH, for the one pure package that the training path needs beside torch,
numpy, scipy and onnx; see :mod:`training.gpu`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from entrust.errors import EnTrustError, InvalidInputError
from training.datasets.oncology import find_root, list_patients, load_patient
from training.datasets.packed import write_pack

PACKAGES = ("jaxtyping", "wadler_lindig")
"""Shapes in annotations, and what prints them (Apache-2.0 and MIT)."""
MAX_BYTES = 60_000_000
DEFAULT_PACK = Path(__file__).resolve().parents[1] / "out" / "training-pack.zip"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the archive and say how large it is."""
    parser = argparse.ArgumentParser(prog="python -m training.pack", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_PACK, help="the archive")
    parser.add_argument("--no-patients", action="store_true", help="the packages alone, where there are no patients")
    given = parser.parse_args(arguments)
    try:
        root = None if given.no_patients else find_root()
        names = list_patients(root) if root else ()
        size = write_pack(given.out, (load_patient(root, name) for name in names if root), PACKAGES)
        if size > MAX_BYTES:
            raise InvalidInputError(f"The archive has {size / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f}.")
    except EnTrustError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{given.out}: {len(names)} patients, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
