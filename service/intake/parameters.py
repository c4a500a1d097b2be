"""What a caller may ask: the parameters of a segmentation, whatever protocol they come by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from entrust.contract import get_task
from entrust.errors import InvalidInputError
from entrust.sampling import SAMPLERS
from service.encode import Extra
from service.jobs.job import Priority


def _from_text(value: object) -> object:
    """Read an assignment that came as text: JSON, or ``ct=2,pet=3``."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("is not JSON") from None
    pairs = [piece.partition("=") for piece in value.split(",") if piece.strip()]
    if not all(slug.strip() and series.strip() for slug, _, series in pairs):
        raise ValueError("is neither JSON nor a list of pairs like ct=2,pet=3")
    return {slug.strip(): series.strip() for slug, _, series in pairs}


def _listed(value: object) -> object:
    """Read a list that came as text: ``labelmap,rtstruct``."""
    return [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value


def _each_once(extras: tuple[Extra, ...]) -> tuple[Extra, ...]:
    return tuple(extra for extra in Extra if extra in extras)  # in one order, whatever the caller's


class SegmentationParameters(BaseModel):
    """Parameters of one segmentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str = Field(
        default="",
        description="What to segment; `GET /v1/models` lists the tasks. When absent, the study decides; one that fits "
        "none or several is refused.",
        examples=["oncology"],
    )
    num_hypotheses: int | None = Field(
        default=None, ge=1, description="K, the number of masks drawn; the task's default when absent."
    )
    num_steps: int | None = Field(
        default=None, ge=1, description="S, the number of denoising steps; the task's default when absent."
    )
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="Same input, seed and model give identical masks and maps."
    )
    sampler: str = Field(default=SAMPLERS[0], description=f"One of {', '.join(SAMPLERS)}.", examples=[SAMPLERS[0]])
    assignment: Annotated[dict[str, str], BeforeValidator(_from_text)] = Field(
        default_factory=dict,
        description="Which series plays which role, where the tags do not say: JSON or `ct=…,pet=…`. A series is named "
        "by its SeriesNumber, SeriesInstanceUID or SeriesDescription.",
        examples=['{"t1": "5"}'],
    )
    extra_results: Annotated[
        tuple[Extra, ...], BeforeValidator(_listed), AfterValidator(_each_once), WithJsonSchema({"type": "string"})
    ] = Field(
        default=(),
        description="DICOM results to make beyond the usual ones, where the study comes as DICOM, separated by commas: "
        f"{', '.join(f'`{extra}`' for extra in Extra)}.",
        examples=["rtstruct,secondary-capture"],
    )
    priority: Priority = Field(default=Priority.ROUTINE, description="`stat` overtakes `routine` in the queue.")
    deadline_seconds: float | None = Field(
        default=None, gt=0, description="Time from acceptance to the end, waiting included."
    )


P = TypeVar("P", bound=SegmentationParameters)


@dataclass(frozen=True)
class ParameterLimits:
    """What this gateway allows.

    Attributes:
        max_hypotheses: Largest K.
        max_steps: Largest S.
        max_duration_seconds: Largest deadline, and the default one.
    """

    max_hypotheses: int
    max_steps: int
    max_duration_seconds: float


def check_parameters(model: type[P], given: Mapping[str, Any], limits: ParameterLimits) -> P:
    """Return checked parameters.

    Args:
        model: The parameters that the face knows.
        given: Values by name; text where the protocol has nothing better.
        limits: What this gateway allows.

    Raises:
        InvalidInputError: A parameter is unknown, missing or out of bounds; all faults are named at once, and each one
            stands in the details under the parameter's name.
        NotFoundError: There is no such task.
    """
    try:
        parameters = model.model_validate(dict(given))
    except ValidationError as error:
        raise _invalid(error.errors(include_url=False, include_input=False), tuple(model.model_fields)) from None
    if parameters.task:
        get_task(parameters.task)
    for name, value, limit in (
        ("num_hypotheses", parameters.num_hypotheses, limits.max_hypotheses),
        ("num_steps", parameters.num_steps, limits.max_steps),
        ("deadline_seconds", parameters.deadline_seconds, limits.max_duration_seconds),
    ):
        if value is not None and value > limit:
            raise InvalidInputError(
                f"{name} is over this gateway's limit.",
                fix=f"Ask for at most {limit:g}.",
                details={"limit": limit, name: f"at most {limit:g}"},
            )
    if parameters.sampler not in SAMPLERS:
        raise InvalidInputError(
            "sampler: there is none of that name.",
            fix=f"Use one of: {', '.join(SAMPLERS)}.",
            details={"sampler": f"one of {', '.join(SAMPLERS)}"},
        )
    return parameters


def _invalid(faults: list[Any], known: tuple[str, ...]) -> InvalidInputError:
    """Return the error that names every fault that pydantic found, without repeating what was sent."""
    named, details = [], {}
    for fault in faults:
        name = next((str(part) for part in fault["loc"] if str(part) in known), "")
        message = "unknown parameter" if fault["type"] == "extra_forbidden" else str(fault["msg"])
        named.append(f"{name}: {message}" if name else message)
        if name:
            details[name] = message
    return InvalidInputError(
        f"Parameters that cannot be used: {'; '.join(dict.fromkeys(named))}.",
        fix=f"Known parameters: {', '.join(known)}.",
        details=details,
    )
