"""A long computation is done in pieces: each once, in order, resumable, and one that fails stops no other."""

import io
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from entrust.contract import ONCOLOGY
from entrust.errors import InvalidInputError
from tests.factories.tiny_patients import TINY, patient
from training import gpu
from training.augment import BatchSource
from training.baselines.rival import RIVALS
from training.benchmark import plan
from training.benchmark.fits import finished, fit_piece
from training.datasets.packed import write_pack
from training.piece import DONE, MAX_RESULT_BYTES, Piece, Progress, run_pieces
from training.prefetch import batches

LONG = 600.0  # seconds, never waited for


def write(text: str, folder: Path) -> None:
    with (folder / "result.txt").open("a") as file:
        file.write(text)


def count(seconds: float, folder: Path) -> None:
    """Count to five on disk, slowly: a piece that goes on where it stopped."""
    path = folder / "count"
    while (n := len(path.read_text()) if path.exists() else 0) < 5:
        time.sleep(seconds)
        path.write_text("x" * (n + 1))


def fail(folder: Path) -> None:
    raise ValueError("as it must")


def grow(folder: Path) -> None:
    (folder / "large").write_bytes(bytes(MAX_RESULT_BYTES + 1))


def test_pieces_are_done_once_and_their_results_delivered(tmp_path: Path) -> None:
    pieces = [Piece("a/one", partial(write, "1")), Piece("b", partial(write, "2"))]
    first = run_pieces(pieces, tmp_path / "work", tmp_path / "out", LONG)
    assert first == Progress(finished=["a/one", "b"])
    assert (tmp_path / "out" / "a" / "one" / "result.txt").read_text() == "1"
    assert json.loads((tmp_path / "out" / "b" / DONE).read_text())["piece"] == "b"
    second = run_pieces(pieces, tmp_path / "work", tmp_path / "other", LONG)
    assert second == Progress()
    assert (tmp_path / "work" / "b" / "result.txt").read_text() == "2", "not done twice"
    assert not (tmp_path / "other").exists()


def test_finished_folders_are_all_that_another_machine_needs(tmp_path: Path) -> None:
    pieces = [Piece("one", partial(write, "1")), Piece("two", partial(write, "2"))]
    run_pieces(pieces[:1], tmp_path / "work", tmp_path / "carried", LONG)
    progress = run_pieces(pieces, tmp_path / "carried", tmp_path / "carried", LONG)
    assert progress.finished == ["two"]


def test_a_piece_that_runs_out_of_time_goes_on(tmp_path: Path) -> None:
    pieces = [Piece("slow", partial(count, 0.4)), Piece("next", partial(write, "n"))]
    calls = 0
    while True:
        calls += 1
        progress = run_pieces(pieces, tmp_path / "work", tmp_path / "out", 1.0)
        if not progress.remaining:
            break
        assert progress.interrupted in ("slow", "next", None)
        assert calls < 40
    assert calls > 1, "two seconds of work do not fit into one"
    assert (tmp_path / "out" / "slow" / "count").read_text() == "xxxxx"


def test_a_failing_piece_stops_no_other_and_is_tried_again(tmp_path: Path) -> None:
    pieces = [Piece("bad", fail), Piece("large", grow), Piece("good", partial(write, "g"))]
    progress = run_pieces(pieces, tmp_path / "work", tmp_path / "out", LONG)
    assert progress.finished == ["good"]
    assert progress.failed["bad"] == "ValueError: as it must"
    assert "more than can be taken away" in progress.failed["large"]
    assert progress.remaining == 2
    assert not (tmp_path / "out" / "large").exists()
    assert set(run_pieces(pieces, tmp_path / "work", tmp_path / "out", LONG).failed) == {"bad", "large"}


def test_two_pieces_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        run_pieces([Piece("a", fail), Piece("a", fail)], tmp_path, tmp_path, LONG)


# the real pieces, with tiny numbers


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "pack.zip"
    write_pack(path, [patient(f"STS_{i:03d}", i) for i in range(1, 13)])
    return path


def test_a_piece_fits_from_the_archive_and_leaves_what_can_be_taken_away(archive: Path, tmp_path: Path) -> None:
    pieces = gpu.patient_pieces(archive, TINY, runs=("fold0",), models=("unet-ce",))[:1]
    (piece,) = pieces
    assert piece.name == "seed0/oncology/fold0/unet-ce"
    progress = run_pieces(pieces, tmp_path / "work", tmp_path / "out", LONG)
    assert progress.finished == [piece.name], progress.failed
    state = torch.load(tmp_path / "out" / piece.name / "checkpoint.pt", weights_only=True)
    assert set(state) == {"config", "iteration", "mean"}
    # the delivered folder is one that the local run takes for its own
    run = gpu.Run("fold0", tmp_path / "out", TINY, archive)
    fitted = run.fit("unet-ce").state_dict()
    assert all(torch.equal(value, state["mean"][f"module.{name}"]) for name, value in fitted.items())


def test_every_fit_that_rivals_need_is_a_piece(archive: Path) -> None:
    names = [piece.name for piece in gpu.pieces(archive)]
    assert len(set(names)) == len(names)
    for seed in plan.SEEDS:
        for method, fit in [pair for name in RIVALS for pair in plan.rival_fits(name, seed)]:
            assert f"seed{fit}/oncology/fold3/{method}" in names
            assert f"world/full/cardiac/{method}-{fit}" in names
        assert {f"seed{seed}/oncology/release/{m}" for m in ("entrust", "entrust+conflict")} <= set(names)
        stages = [f"world/full/brain/{method}-{seed}" for method in (plan.base_of(plan.ENTRUST), plan.ENTRUST)]
        assert names.index(stages[0]) < names.index(stages[1])
    assert {piece.name.split("/")[0] for piece in gpu.pieces(None)} == {"world"}, "phantoms need no patients"


def test_fits_of_the_world_are_the_benchmarks_own(tmp_path: Path) -> None:
    wanted = plan.Piece("lesion", plan.ENTRUST, 0)
    listed = [p for p in gpu.world_pieces((0,), plan.QUICK) if p.name.endswith(("lesion/entrust-base-0", wanted.name))]
    progress = run_pieces(listed, tmp_path / "work", tmp_path / "out", LONG)
    assert len(progress.finished) == 2, progress.failed
    assert finished(wanted, plan.QUICK, tmp_path / "out" / "world")
    before = (tmp_path / "out" / "world" / "quick" / wanted.name / "checkpoint.pt").read_bytes()
    module = fit_piece(wanted, plan.QUICK, tmp_path / "out" / "world")  # loads, fits nothing
    state = torch.load(io.BytesIO(before), weights_only=True)["mean"]
    assert all(torch.equal(value, state[f"module.{name}"]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_however_many_draw_them(workers: int) -> None:
    source = BatchSource(
        [patient("a", 0)],
        [],
        phantom_share=0.0,
        offsets=ONCOLOGY.context_offsets,
        config=replace(TINY.augment, edit=1.0),
        batch=2,
        seed=0,
    )
    drawn = list(batches(source, range(3, 8), workers))
    assert len(drawn) == 5
    for iteration, batch in zip(range(3, 8), drawn, strict=True):
        expected = source(iteration)
        assert all(torch.equal(value, getattr(expected, name)) for name, value in vars(batch).items())
