"""A fit that was kept is taken on another machine as if it had been made there."""

from pathlib import Path

import pytest
import torch

from training.benchmark import plan, shelf
from training.benchmark.fits import finished, fit_piece
from training.fit import CHECKPOINT


@pytest.mark.parametrize("method", ["entrust", "unet-ce"])
def test_a_kept_fit_is_taken_and_not_made_again(folder: Path, tmp_path: Path, method: str) -> None:
    piece, home, kept = plan.Piece("lesion", method, 0), tmp_path / "home", tmp_path / "kept"
    for name in shelf.SHARED:
        if name.startswith(method):
            shelf.keep(plan.Piece("lesion", name, 0), plan.QUICK, folder, kept)
    assert not finished(piece, plan.QUICK, home)
    shelf.take(["lesion"], plan.FULL, home, kept)
    assert not finished(piece, plan.QUICK, home), "kept fits are of one budget"
    shelf.take(["oncology"], plan.QUICK, home, kept)
    assert not finished(piece, plan.QUICK, home), "kept fits are of one domain"
    shelf.take(["lesion"], plan.QUICK, home, kept)
    assert finished(piece, plan.QUICK, home)
    fitted, taken = (fit_piece(piece, plan.QUICK, place).state_dict() for place in (folder, home))
    assert not (home / "cases").exists(), "nothing was fitted"
    assert fitted.keys() == taken.keys()
    for name, value in fitted.items():
        torch.testing.assert_close(taken[name], value, rtol=1e-3, atol=1e-6)


def test_what_was_fitted_here_stays(folder: Path, tmp_path: Path) -> None:
    piece = plan.Piece("lesion", "unet-ce", 0)
    shelf.keep(piece, plan.QUICK, folder, tmp_path)
    before = (folder / plan.QUICK.name / piece.name / CHECKPOINT).read_bytes()
    shelf.take(["lesion"], plan.QUICK, folder, tmp_path)
    assert (folder / plan.QUICK.name / piece.name / CHECKPOINT).read_bytes() == before
