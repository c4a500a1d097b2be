"""Read what the calibration set looked like, as ``python -m demo.reference`` measured it."""

from collections.abc import Iterable
from pathlib import Path

from entrust.drift import CalibrationReference
from entrust.errors import InvalidInputError

FOLDER = Path(__file__).with_name("references")


def load_references(tasks: Iterable[str], folder: Path | None = None) -> dict[str, CalibrationReference]:
    """Return the references of the tasks that have one.

    Args:
        tasks: Task names.
        folder: Where ``<task>.json`` lie; the released weights' own when not given.

    Raises:
        InvalidInputError: A file is no reference.
    """
    found = {}
    for task in tasks:
        path = (folder or FOLDER) / f"{task}.json"
        if path.is_file():
            try:
                found[task] = CalibrationReference.from_json(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise InvalidInputError(
                    f"The calibration reference of {task} cannot be read.", fix="Measure it again: make reference."
                ) from error
    return found
