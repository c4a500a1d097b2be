"""The task of a study that nobody named: by the rules, or, where files without tags came, by their names."""

from collections.abc import Iterable, Mapping, Sequence

from entrust.contract import Task
from entrust.errors import InvalidInputError
from service.selection.choosing import select
from service.selection.naming import by_file_name
from service.selection.rules import Rules
from service.study import SeriesHeader

FIX = "Name the task: one of {tasks}."


def settle_task(series: Sequence[SeriesHeader], rules: Rules, tasks: Mapping[str, Task]) -> str:
    """Return the name of the task that a study is for.

    Args:
        series: Headers of all that was sent.
        rules: What to choose by.
        tasks: The tasks by name.

    Raises:
        InvalidInputError: No task fits, or several do.
    """
    if series and all(not one.dicom_modality for one in series):
        volumes = dict(enumerate(series))
        return task_of_modalities([task for task in tasks.values() if _names_all(task, volumes)], tasks)
    selection = select(series, rules, tasks)
    for problem in selection.problems:
        raise problem
    if selection.task is None:
        raise InvalidInputError(
            "Nothing in the study says which task it is for.", fix=FIX.format(tasks=", ".join(tasks))
        )
    return selection.task


def tasks_with(slugs: Iterable[str], tasks: Mapping[str, Task]) -> list[Task]:
    """Return the tasks that have all of these modalities."""
    wanted = set(slugs)
    return [task for task in tasks.values() if wanted <= set(task.slugs)]


def task_of_modalities(fitting: Sequence[Task], tasks: Mapping[str, Task]) -> str:
    """Return the only task that fits the modalities of the files.

    Raises:
        InvalidInputError: None fits, or several do.
    """
    if len(fitting) == 1:
        return fitting[0].name
    if not fitting:
        raise InvalidInputError("No task has the modalities of all the files.", fix=FIX.format(tasks=", ".join(tasks)))
    names = ", ".join(task.name for task in fitting)
    raise InvalidInputError(f"The files fit several tasks: {names}.", fix=FIX.format(tasks=names))


def _names_all(task: Task, volumes: Mapping[int, SeriesHeader]) -> bool:
    """Tell whether every file is named after a modality of the task, and none after the same as another."""
    named = [tuple(by_file_name(volumes, task, modality)) for modality in task.modalities]
    return sorted(index for found in named for index in found) == sorted(volumes) and all(len(n) <= 1 for n in named)
