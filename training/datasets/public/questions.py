"""What a data set's task asks: its modalities and nested structures, from the contract, else from its phantoms."""

from dataclasses import dataclass

from entrust.contract import TASKS, Modality, Task
from entrust.errors import ModelUnavailableError
from training.datasets.phantoms.world.case import DOMAINS


@dataclass(frozen=True)
class Question:
    """The part of a task that its data decide.

    Attributes:
        modalities: In tensor order.
        structures: Nested, outermost first; label r holds structures 1 … r.
    """

    modalities: tuple[Modality, ...]
    structures: tuple[str, ...]

    @property
    def slugs(self) -> tuple[str, ...]:
        """Modality slugs in tensor order."""
        return tuple(m.slug for m in self.modalities)


def question(task: str) -> Question:
    """Return what a task asks.

    Raises:
        KeyError: Neither the contract nor the phantoms know the task: a data set's definition is wrong.
    """
    if task in TASKS:
        served = TASKS[task]
        return Question(served.modalities, tuple(label.title for label in served.labels))
    domain = DOMAINS[task]
    return Question(tuple(channel.role for channel in domain.channels), domain.structures)


def served_task(task: str) -> Task:
    """Return a task that can be run.

    Raises:
        ModelUnavailableError: The contract does not know it yet.
    """
    if task not in TASKS:
        raise ModelUnavailableError(
            f"No model of the task {task!r} is released.",
            fix=f"Released: {', '.join(TASKS)}. The data set's cases can be read all the same.",
        )
    return TASKS[task]
