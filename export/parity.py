"""Numbers that show that the exported graphs compute what the networks compute."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import SimpleITK as sitk
import torch
from jaxtyping import Float32
from torch import Tensor

from entrust.contract import Task
from entrust.errors import InternalError
from entrust.normalisation import normalise
from entrust.sampling import HypothesisNoise
from entrust.slices import pad_plane, with_context
from export.graphs import ServedModel
from export.weights import PROJECT_ROOT
from training.datasets.phantoms.world.case import DOMAINS, make_case
from training.datasets.phantoms.world.splits import TEST

TOLERANCE = 1e-4
"""Largest absolute difference in float32 that an export may show."""

NUM_HYPOTHESES = 3
_DATA_ROOT = PROJECT_ROOT.parent / "shared" / "data"
_FILES = {"ct": ("ct", 1.0), "pet": ("pet_suvx500", 1.0 / 500.0), "t1": ("mr_t1_norm4000", 1.0)}


@dataclass(frozen=True)
class ParityInputs:
    """Slices to compare on, and where they come from.

    Attributes:
        images: Normalised intensities, zero where absent.
        presence: 1 where acquired, else 0.
        source: ``real slices``, ``simulated slices`` or ``noise``.
    """

    images: Float32[np.ndarray, "b m z h w"]
    presence: Float32[np.ndarray, "b m z h w"]
    source: str


@dataclass(frozen=True)
class TensorParity:
    """How far one output is from torch.

    Attributes:
        model: Name in Triton.
        tensor: Output's name.
        max_abs: Largest absolute difference.
        scale: Largest absolute value in torch, for comparison.
        shape: Shape of the compared tensor.
    """

    model: str
    tensor: str
    max_abs: float
    scale: float
    shape: tuple[int, ...]


def find_inputs(task: Task, num_slices: int = 4) -> ParityInputs:
    """Return slices of what the task's networks were fitted to: real ones, simulated ones, or else noise.

    Oncology's networks know real patients, whose data may not lie beside the project; those of the other tasks know
    simulated ones, which can always be made.

    Args:
        task: The task.
        num_slices: Slices, spread over the middle of one patient; the last one misses a modality.
    """
    if task.slugs != tuple(_FILES):
        return _simulated(task) if task.name in DOMAINS else _noise(task, num_slices)
    folders = sorted((_DATA_ROOT / f"{task.name}_sts").glob("*/ct.nii.gz"))
    if not folders:
        return _noise(task, num_slices)
    folder = folders[0].parent
    arrays = {slug: _read(folder / f"{stem}.nii.gz") * unit for slug, (stem, unit) in _FILES.items()}
    everywhere = np.ones(arrays["ct"].shape, dtype=bool)
    fields = {"ct": everywhere, "pet": everywhere, "t1": _read(folder / "mr_fov.nii.gz") > 0.5}
    volume = np.stack([normalise(m, arrays[m.slug], fields[m.slug]) for m in task.modalities])
    present = np.stack([fields[slug] for slug in task.slugs]).astype(np.float32)
    depth = volume.shape[1]
    depths = np.linspace(depth // 4, 3 * depth // 4, num_slices).astype(int)
    images = pad_plane(with_context(volume, depths, task.context_offsets), task.size_multiple)
    presence = pad_plane(with_context(present, depths, task.context_offsets), task.size_multiple)
    presence[-1, -1] = 0.0
    return ParityInputs(images * presence, presence, "real slices")


def compare(
    task: Task, models: Mapping[str, ServedModel], files: Mapping[str, bytes], inputs: ParityInputs
) -> list[TensorParity]:
    """Run every model in torch and in ONNX Runtime on the same slices, along the path that serving takes.

    Args:
        task: The task.
        models: The served models by part.
        files: Their ONNX files by part.
        inputs: The slices.

    Returns:
        One entry per output tensor.
    """
    b, m = inputs.images.shape[:2]
    h, w = inputs.images.shape[-2:]
    keep = np.concatenate([np.ones((1, m)), 1.0 - np.eye(m), np.ones((1, m))]).astype(np.float32)
    gain = np.ones(len(keep), dtype=np.float32)
    gain[-1] = 0.0
    feeds: dict[str, dict[str, np.ndarray]] = {
        "enfuse": {
            "images": inputs.images,
            "presence": inputs.presence,
            "keep": np.tile(keep, (b, 1, 1)),
            "conflict_gain": np.tile(gain, (b, 1)),
        }
    }
    rows, fused = _compare_one(models["enfuse"], files["enfuse"], feeds["enfuse"])
    noise = HypothesisNoise(0, NUM_HYPOTHESES, task.num_classes, h, w, task.noise)
    start = np.repeat(noise.start(), b, axis=0)
    feeds["denoiser"] = {
        "x": start,
        "clean": np.tanh(np.repeat(noise(0), b, axis=0)),
        "t": np.linspace(1.0, 0.25, b, dtype=np.float32)[:, None],
        "conditioning": fused["conditioning"][:, 0].numpy(),
    }
    more, denoised = _compare_one(models["denoiser"], files["denoiser"], feeds["denoiser"])
    rows += more
    log_probability = denoised["logits"].mean(dim=1).log_softmax(dim=1).clamp_min(np.log(1e-6)).numpy()
    others = np.random.default_rng(0).random((b, task.num_features - 2 * task.num_classes, h, w), dtype=np.float32)
    feeds["calibration_head"] = {"features": np.concatenate([log_probability, log_probability, others], axis=1)}
    more, _ = _compare_one(models["calibration_head"], files["calibration_head"], feeds["calibration_head"])
    return rows + more


def check(rows: list[TensorParity]) -> None:
    """Refuse an export that differs from torch.

    Raises:
        InternalError: An output differs by more than :data:`TOLERANCE`, or is not finite.
    """
    worst = max(rows, key=lambda row: row.max_abs if np.isfinite(row.max_abs) else np.inf)
    if not worst.max_abs < TOLERANCE:
        raise InternalError(
            f"The exported {worst.model} differs from torch by {worst.max_abs:.3g} in {worst.tensor}.",
            fix=f"Nothing was written; the difference must stay under {TOLERANCE:g}.",
        )


def report(rows: list[TensorParity], inputs: ParityInputs) -> dict[str, object]:
    """Return the comparison as a JSON document."""
    return {
        "inputs": inputs.source,
        "slices": list(inputs.images.shape),
        "tolerance": TOLERANCE,
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__.split("+")[0],
        "tensors": [{**asdict(row), "shape": list(row.shape)} for row in rows],
    }


def run_onnx(file: bytes, feed: Mapping[str, np.ndarray]) -> dict[str, Float32[np.ndarray, "..."]]:
    """Run an ONNX file once on the CPU and return its outputs by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def run_torch(model: ServedModel, feed: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Run the torch module that a served model stands for and return its outputs by name."""
    with torch.no_grad():
        answer = model.module(*(torch.from_numpy(feed[spec.name]) for spec in model.contract.inputs))
    tensors = answer if isinstance(answer, tuple) else (answer,)
    return {spec.name: tensor for spec, tensor in zip(model.contract.outputs, tensors, strict=True)}


def _compare_one(
    model: ServedModel, file: bytes, feed: Mapping[str, np.ndarray]
) -> tuple[list[TensorParity], dict[str, Tensor]]:
    expected, found = run_torch(model, feed), run_onnx(file, feed)
    rows = [
        TensorParity(
            model=model.contract.name,
            tensor=name,
            max_abs=float(np.abs(found[name] - tensor.numpy()).max()),
            scale=float(tensor.abs().max()),
            shape=tuple(tensor.shape),
        )
        for name, tensor in expected.items()
    ]
    return rows, expected


def _simulated(task: Task) -> ParityInputs:
    """Return every slice of a test case; the last one misses a modality."""
    case = make_case(DOMAINS[task.name], TEST, 0).as_training_case()
    depths = np.arange(case.depth)
    presence = pad_plane(
        with_context(case.presence.astype(np.float32), depths, task.context_offsets), task.size_multiple
    )
    presence[-1, -1] = 0.0
    images = pad_plane(with_context(case.images, depths, task.context_offsets), task.size_multiple)
    return ParityInputs(images * presence, presence, "simulated slices")


def _noise(task: Task, num_slices: int) -> ParityInputs:
    rng = np.random.default_rng(0)
    size = 6 * task.size_multiple
    shape = (num_slices, task.num_modalities, len(task.context_offsets), size, size)
    presence = np.ones(shape, dtype=np.float32)
    presence[-1, -1] = 0.0
    images = rng.standard_normal(shape, dtype=np.float32) * 0.5
    return ParityInputs(images * presence, presence, "noise")


def _read(path: Path) -> Float32[np.ndarray, "d h w"]:
    array: np.ndarray = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    return array.astype(np.float32)
