"""Make sure that what Triton serves is what the contract promises, and read who made it."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from entrust.contract import CONTRACT_VERSION, ModelCard, ModelContract, Task, TensorSpec, model_contracts
from entrust.errors import ModelUnavailableError

FIX = "Export the model repository again with this version: python -m export --task {task}."


class Describer(Protocol):
    """Whoever can say what is served; :class:`service.inference.client.TritonClient` can."""

    async def describe(self, model: str, *, patient: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a model's metadata and configuration."""
        ...

    async def known_models(self) -> frozenset[str]:
        """Return the names of the models that Triton was told to load."""
        ...


async def is_deployed(client: Describer, task: Task) -> bool:
    """Tell whether Triton was given a model of a task; whether all are there and right is another question.

    Raises:
        ModelUnavailableError: Triton is not there.
    """
    known = await client.known_models()
    return any(contract.name in known for contract in model_contracts(task).values())


async def load_card(client: Describer, task: Task, *, patient: bool = True) -> ModelCard:
    """Compare every served model of a task with the contract and return the card they share.

    Args:
        client: Asks Triton.
        task: The task.
        patient: Wait for a server or model that is coming back; a health check should not.

    Raises:
        ModelUnavailableError: A model is missing, or something differs; the message names what.
    """
    cards: dict[str, ModelCard] = {}
    differences: list[str] = []
    for contract in model_contracts(task).values():
        metadata, config = await client.describe(contract.name, patient=patient)
        differences += [f"{contract.name}: {text}" for text in _differences(contract, metadata, config)]
        try:
            values = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
            cards[contract.name] = ModelCard.from_parameters(values)
        except (KeyError, TypeError, ValueError):
            differences.append(f"{contract.name}: its parameters hold no readable model card")
    for name, card in cards.items():
        if card.contract != CONTRACT_VERSION:
            differences.append(f"{name}: made for contract {card.contract}, this is {CONTRACT_VERSION}")
        if card.task != task.name:
            differences.append(f"{name}: made for task {card.task}, not {task.name}")
    if len(set(cards.values())) > 1:
        differences.append("the models come from different exports: " + ", ".join(sorted(cards)))
    if differences:
        raise ModelUnavailableError(
            f"Triton does not serve what this version needs. {'; '.join(differences)}.",
            fix=FIX.format(task=task.name),
            details={"differences": len(differences)},
        )
    return next(iter(cards.values()))


def _differences(contract: ModelContract, metadata: Mapping[str, Any], config: Mapping[str, Any]) -> Iterable[str]:
    """Yield in words what of a model is not as promised."""
    served_batch = int(config.get("max_batch_size", 0))
    if served_batch != contract.max_batch_size:
        yield f"max_batch_size is {served_batch}, not {contract.max_batch_size}"
    if config.get("dynamic_batching") is not None:
        yield "dynamic batching is on, which would let one study change another's bits"
    for side, specs in (("input", contract.inputs), ("output", contract.outputs)):
        served = {tensor["name"]: tensor for tensor in metadata.get(f"{side}s", [])}
        promised = {spec.name: spec for spec in specs}
        for name in sorted(served.keys() ^ promised.keys()):
            yield f"{side} {name!r} is {'missing' if name in promised else 'unknown'}"
        for name in sorted(served.keys() & promised.keys()):
            yield from _tensor_differences(side, promised[name], served[name])


def _tensor_differences(side: str, spec: TensorSpec, served: Mapping[str, Any]) -> Iterable[str]:
    dims = tuple(int(size) for size in served["shape"][1:])  # without the batch
    if dims != spec.dims:
        yield f"{side} {spec.name!r} has dims {list(dims)}, not {list(spec.dims)}"
    if served["datatype"] != spec.dtype:
        yield f"{side} {spec.name!r} is {served['datatype']}, not {spec.dtype}"
