"""``GET /problems/{kind}``: the type URIs of problems lead somewhere."""

from fastapi import APIRouter

from entrust.errors import ErrorKind
from service.api.rest.problems import Problem, example

router = APIRouter(tags=["operation"])


@router.get("/problems/{kind}", response_model=Problem)
async def read_problem_type(kind: ErrorKind) -> Problem:
    """Show what a problem of this kind looks like; docs/problems.md says more."""
    return example(kind)
