"""A rules file → rules, or every fault in it with its line."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from entrust.contract import TASKS, Task
from entrust.errors import InvalidInputError, NotFoundError
from service.selection.conditions import TagCondition, Use
from service.selection.guard import OWN_RESULTS
from service.selection.rules import MAX_CONDITIONS, Largest, Place, Rules, Smallest, conditions_of, cost_of
from service.selection.tags import is_identifying
from service.selection.yaml_lines import YamlError, line_at, quoted, read_yaml

MAX_FAULTS = 20
_FIX = "Correct the lines; docs/selection.md says what a rules file may hold, and `entrust rules check` reads it."


def load_rules(path: Path | None, tasks: Mapping[str, Task]) -> Rules:
    """Read a rules file.

    Args:
        path: The file; the shipped rules when not given.
        tasks: Tasks that the rules may be about.

    Raises:
        NotFoundError: The file cannot be read.
        InvalidInputError: It holds no rules that can be used; every fault is named with its line.
    """
    if path is None:
        return default_rules()
    try:
        with path.open("rb") as file:
            content = file.read(1 << 20)
    except OSError as error:
        raise NotFoundError(
            f"The rules file cannot be read ({type(error).__name__}).", fix="Name a file that this process may read."
        ) from None
    return parse_rules(content, tasks)


@cache
def default_rules() -> Rules:
    """Return the rules that come with the program."""
    return parse_rules(default_text().encode(), TASKS)


def default_text() -> str:
    """Return the file of the rules that come with the program."""
    return (resources.files("service.selection") / "default.yaml").read_text(encoding="utf-8")


def parse_rules(content: bytes, tasks: Mapping[str, Task]) -> Rules:
    """Read the bytes of a rules file.

    Args:
        content: UTF-8 text.
        tasks: Tasks that the rules may be about.

    Raises:
        InvalidInputError: They are no rules that can be used; every fault is named with its line.
    """
    try:
        document = read_yaml(content)
    except YamlError as error:
        raise _unusable([(error.line, error.message)]) from None
    try:
        rules = Rules.model_validate(document)
    except ValidationError as error:
        raise _unusable([_fault(document, found) for found in error.errors(include_url=False)]) from None
    faults = [(line or line_at(document, place), message) for line, place, message in _contradictions(rules, tasks)]
    if faults:
        raise _unusable(faults)
    return rules


def _fault(document: Any, found: Any) -> tuple[int, str]:
    """Say what pydantic found, without repeating a value."""
    place, message = tuple(found["loc"]), str(found["msg"]).removeprefix("Value error, ")
    key = str(place[-1]) if place else ""
    match found["type"]:
        case "extra_forbidden":
            message = f"the key {quoted(key)} means nothing here"
        case "missing":
            message = f"the key {quoted(key)} is missing"
            place = place[:-1]
        case "model_type" | "model_attributes_type" | "dict_type":
            message = "keys with values belong here"
        case "list_type":
            message = "a list belongs here"
        case "string_type":
            message = "text belongs here: numbers, true and false need quotes"
    return line_at(document, place), message


def _contradictions(rules: Rules, tasks: Mapping[str, Task]) -> Iterator[tuple[int, Place, str]]:
    """Yield what each part allows and the whole does not: the line where it is known, the place, and the fault."""
    for place, condition in conditions_of(rules):
        line = condition.line
        if isinstance(condition, Use) and place[0] == "define":
            yield line, place, "a definition cannot use another"
        elif isinstance(condition, Use) and condition.use not in rules.define:
            yield line, place, "there is no definition of this name"
        elif isinstance(condition, TagCondition) and place[0] != "exclude" and is_identifying(condition.tag):
            yield line, place, f"{condition.tag} names a person, and only an exclusion may look at it"
    if (cost := cost_of(rules)) > MAX_CONDITIONS:
        yield 0, (), f"the rules come to {cost} conditions, and {MAX_CONDITIONS} are allowed"
    yield from _twice(rules)
    for i, of_task in enumerate(rules.tasks):
        task = tasks.get(of_task.task)
        if task is None:
            yield 0, ("tasks", i, "task"), f"there is no such task, known are: {', '.join(tasks)}"
            continue
        for slug, role in of_task.roles.items():
            at: Place = ("tasks", i, "roles", slug)
            if slug not in task.slugs:
                yield 0, at, f"the task has no such modality, known are: {', '.join(task.slugs)}"
            for preference in role.prefer:
                if isinstance(preference, Largest | Smallest):
                    measure = preference.largest if isinstance(preference, Largest) else preference.smallest
                    if measure not in ("images", "slice_spacing_mm") and is_identifying(measure):
                        yield preference.line, at, f"{measure} names a person, and cannot be a preference"


def _twice(rules: Rules) -> Iterator[tuple[int, Place, str]]:
    seen: set[str] = set()
    for i, of_task in enumerate(rules.tasks):
        if of_task.task in seen:
            yield 0, ("tasks", i, "task"), "this task has rules already"
        seen.add(of_task.task)
    seen = {OWN_RESULTS.name}
    for i, exclusion in enumerate(rules.exclude):
        if exclusion.name in seen:
            yield 0, ("exclude", i, "name"), "an exclusion has this name already"
        seen.add(exclusion.name)


def _unusable(faults: list[tuple[int, str]]) -> InvalidInputError:
    faults = sorted(dict.fromkeys(faults))
    told = [f"line {line}: {message}" if line else message for line, message in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        told.append(f"and {len(faults) - MAX_FAULTS} more")
    details: dict[str, str | int | float] = {"faults": len(faults)}
    for line, message in faults[:MAX_FAULTS]:
        key = f"line_{line}"
        details[key] = f"{details[key]}; {message}" if key in details else message
    return InvalidInputError(f"The rules cannot be used. {'; '.join(told)}.", fix=_FIX, details=details)
