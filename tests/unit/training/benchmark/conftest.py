"""Quick fits of one domain, made once for all tests of the benchmark."""

from pathlib import Path

import pytest

from training.benchmark import plan
from training.benchmark.fits import fit_piece
from training.piece import DONE

NAMES = ("entrust", "entrust-without-gate", "unet-ce")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the quick fits of one domain."""
    home = tmp_path_factory.mktemp("world")
    for name in NAMES:
        piece = plan.Piece("lesion", name, 0)
        fit_piece(piece, plan.QUICK, home)
        (home / plan.QUICK.name / piece.name / DONE).touch()
    return home
