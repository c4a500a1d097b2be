"""The released form of a task's weights: one safetensors file, and one JSON file that says what it is.

``<task>.safetensors`` holds the tensors of the three served networks under ``enfuse.``, ``denoiser.`` and
``calibration_head.``. ``<task>.json`` holds at least ``task``, ``version``, ``constants`` (see
:class:`entrust.contract.FittedConstants`) and ``networks`` with the sizes of EnFuse and the denoiser; training adds
data, splits, metrics, licence and attribution beside them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from entrust.contract import FittedConstants, ModelCard, Task
from entrust.errors import InvalidInputError, NotFoundError
from entrust.networks.calibration_head import CalibrationHead
from entrust.networks.enfuse import EnFuse, EnFuseConfig
from entrust.networks.segdiff import Denoiser, SegDiffConfig


@dataclass(frozen=True)
class ServedNetworks:
    """The three networks of a task, in evaluation mode, and the card that identifies them."""

    enfuse: EnFuse
    denoiser: Denoiser
    calibration_head: CalibrationHead
    card: ModelCard

    def parts(self) -> dict[str, nn.Module]:
        """Return the networks by the names of :func:`entrust.contract.model_contracts`."""
        return {"enfuse": self.enfuse, "denoiser": self.denoiser, "calibration_head": self.calibration_head}


def untrained_networks(task: Task, seed: int = 0) -> ServedNetworks:
    """Return networks of default sizes with random weights; the global random state is left as it was.

    Args:
        task: Decides what the sizes must fit.
        seed: Seed of the initialisation.
    """
    enfuse_config = EnFuseConfig(
        num_modalities=task.num_modalities,
        num_classes=task.num_classes,
        num_context=len(task.context_offsets),
        conditioning=task.conditioning_features,
    )
    denoiser_config = SegDiffConfig(num_classes=task.num_classes, conditioning=task.conditioning_features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = ServedNetworks(
            EnFuse(enfuse_config),
            Denoiser(denoiser_config),
            CalibrationHead(task.num_features, task.num_classes),
            ModelCard(task=task.name, version="untrained", digest=""),
        )
    digest = hashlib.sha256(_serialise(networks)).hexdigest()
    return _ready(networks, ModelCard(task=task.name, version="untrained", digest=digest))


def save_release(
    folder: Path,
    networks: ServedNetworks,
    *,
    version: str,
    constants: FittedConstants,
    facts: Mapping[str, Any] | None = None,
) -> ModelCard:
    """Write ``<task>.safetensors`` and ``<task>.json`` and return the card of what was written.

    Args:
        folder: Where to write; made if it does not exist.
        networks: The three networks; the card's task names the files.
        version: Version of the weights.
        constants: Fitted numbers.
        facts: What else the JSON shall say: data, splits, configuration, seed, metrics, licence, attribution.
    """
    task = networks.card.task
    content = _serialise(networks)
    document = {
        **(facts or {}),
        "task": task,
        "version": version,
        "constants": asdict(constants),
        "networks": {"enfuse": asdict(networks.enfuse.config), "denoiser": asdict(networks.denoiser.config)},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{task}.safetensors").write_bytes(content)
    (folder / f"{task}.json").write_text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    digest = hashlib.sha256(content).hexdigest()
    return ModelCard(task=task, version=version, digest=digest, constants=constants)


def load_release(task: Task, weights: Path) -> ServedNetworks:
    """Read released weights.

    Args:
        task: The task that the weights must be of.
        weights: The safetensors file; its JSON lies beside it under the same stem.

    Raises:
        NotFoundError: One of the two files is missing.
        InvalidInputError: The files do not fit each other, the networks or the task.
    """
    description = weights.with_suffix(".json")
    for path, what in ((weights, "weights file"), (description, "description of the weights")):
        if not path.is_file():
            raise NotFoundError(
                f"The {what} of task {task.name!r} is missing.",
                fix=f"Train the task first, or give the path of its {path.suffix} file.",
            )
    content = weights.read_bytes()
    try:
        document = json.loads(description.read_text())
        card = ModelCard(
            task=document["task"],
            version=str(document["version"]),
            digest=hashlib.sha256(content).hexdigest(),
            constants=FittedConstants(**document["constants"]),
        )
        enfuse = EnFuse(EnFuseConfig(**_tuples(document["networks"]["enfuse"])))
        denoiser = Denoiser(SegDiffConfig(**_tuples(document["networks"]["denoiser"])))
        head = CalibrationHead(task.num_features, task.num_classes)
        networks = ServedNetworks(enfuse, denoiser, head, card)
        tensors = load(content)
        for part, module in networks.parts().items():
            prefix = f"{part}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except (json.JSONDecodeError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InvalidInputError(
            "The weights, their description and the networks do not fit each other.",
            fix="Use the two files that one training run released.",
        ) from error
    _check_sizes(task, networks)
    return _ready(networks, card)


def _check_sizes(task: Task, networks: ServedNetworks) -> None:
    """Refuse networks that were built for another task, or for another version of this one."""
    found = networks.enfuse.config
    promised = {
        "task": (networks.card.task, task.name),
        "modalities": (found.num_modalities, task.num_modalities),
        "classes": (found.num_classes, task.num_classes),
        "context slices": (found.num_context, len(task.context_offsets)),
        "conditioning features": (found.conditioning, task.conditioning_features),
        "classes of the denoiser": (networks.denoiser.config.num_classes, task.num_classes),
        "conditioning features of the denoiser": (networks.denoiser.config.conditioning, task.conditioning_features),
    }
    for what, (have, want) in promised.items():
        if have != want:
            raise InvalidInputError(
                f"The weights have {have!r} for {what}, the task wants {want!r}.",
                fix="Use weights trained for this task and contract.",
            )


def _ready(networks: ServedNetworks, card: ModelCard) -> ServedNetworks:
    for module in networks.parts().values():
        module.eval().requires_grad_(False)
    return ServedNetworks(networks.enfuse, networks.denoiser, networks.calibration_head, card)


def _serialise(networks: ServedNetworks) -> bytes:
    tensors: dict[str, Tensor] = {
        f"{part}.{key}": value.detach().cpu().contiguous()
        for part, module in networks.parts().items()
        for key, value in module.state_dict().items()
    }
    return bytes(save(tensors))


def _tuples(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples; the configurations do."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
