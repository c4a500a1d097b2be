"""``entrust studies``: the worklist of a running gateway, and what can be done about a study."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from entrust.errors import (
    ConflictError,
    EnTrustError,
    ErrorKind,
    ForbiddenError,
    InternalError,
    InvalidInputError,
    ModelUnavailableError,
    NotFoundError,
    OverloadedError,
    UnauthenticatedError,
)
from service.intake.access import read_tokens
from service.settings import Settings, load_settings

commands = typer.Typer(no_args_is_help=True, help="Studies that came from a PACS, at a running gateway.")
out = Console()
TIMEOUT_SECONDS = 60.0
_ERRORS: dict[str, type[EnTrustError]] = {
    kind.kind.value: kind for kind in (ConflictError, ForbiddenError, InvalidInputError, NotFoundError)
}
_STYLES = {"failed": "red", "succeeded": "green", "running": "bold", "ignored": "dim", "cancelled": "dim"}

Url = Annotated[str, typer.Option(help="Address of the gateway; the one that ENTRUST_REST__… name when absent.")]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with a token; ENTRUST_AUTH__TOKEN_FILE's first when absent.")
]
Authorities = Annotated[Path | None, typer.Option("--ca", help="Authorities in PEM that vouch for the gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
StudyUid = Annotated[str, typer.Argument(metavar="STUDY", help="StudyInstanceUID.")]


@commands.command("list")
def list_studies(
    state: Annotated[list[str] | None, typer.Option(help="Only these; may be given again.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    url: Url = "",
    token_file: TokenFile = None,
    authorities: Authorities = None,
    as_json: Json = False,
) -> None:
    """List studies: by priority, then by how much their results need a person's eyes."""
    query: dict[str, Any] = {"limit": limit, "state": state or []}
    answer = _ask("GET", "/v1/studies", url, token_file, authorities, query)
    if as_json:
        out.print_json(data=answer)
        return
    table = Table("study", "state", "priority", "review", "task", "step", "received", "why")
    for study in answer["studies"]:
        table.add_row(*map(Text, _row(study)), style=_STYLES.get(study["state"], ""))
    out.print(table)
    out.print(f"{len(answer['studies'])} of {answer['total']} studies")


@commands.command("show")
def show_study(study: StudyUid, url: Url = "", token_file: TokenFile = None, authorities: Authorities = None) -> None:
    """Show all that is known of a study, as JSON."""
    out.print_json(data=_ask("GET", f"/v1/studies/{_path(study)}", url, token_file, authorities))


@commands.command("restart")
def restart_study(
    study: StudyUid, url: Url = "", token_file: TokenFile = None, authorities: Authorities = None
) -> None:
    """Begin a study again that has ended; where only delivery failed, only that is done again."""
    answer = _ask("POST", f"/v1/studies/{_path(study)}:restart", url, token_file, authorities)
    out.print(f"The study is {answer['state']}: run {answer['run']}.")


@commands.command("cancel")
def cancel_study(study: StudyUid, url: Url = "", token_file: TokenFile = None, authorities: Authorities = None) -> None:
    """End a study that waits or is worked on."""
    answer = _ask("POST", f"/v1/studies/{_path(study)}:cancel", url, token_file, authorities)
    out.print(f"The study is {answer['state']}.")


def _ask(
    method: str,
    path: str,
    url: str,
    token_file: Path | None,
    authorities: Path | None,
    query: dict[str, Any] | None = None,
) -> Any:
    """Ask the gateway.

    Raises:
        EnTrustError: It refuses, by the kind that it names, or does not answer.
    """
    settings = load_settings()
    tokens = read_tokens(token_file or settings.auth.token_file)
    headers = {"Authorization": f"Bearer {tokens[0]}"} if tokens else {}
    verify: Any = str(authorities) if authorities else True
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, verify=verify) as client:
            answer = client.request(method, (url or _own(settings)).rstrip("/") + path, params=query, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ModelUnavailableError(
            f"The gateway does not answer ({type(error).__name__}).", fix="Start it, or name its address with --url."
        ) from None
    if answer.is_success:
        return answer.json()
    raise _refusal(answer)


def _refusal(answer: httpx.Response) -> EnTrustError:
    """Return what the gateway's problem says, as an error of this program."""
    try:
        problem = answer.json()
        kind, cause, fix = str(problem["type"]).rpartition("/")[2], str(problem["detail"]), str(problem.get("fix", ""))
    except (ValueError, KeyError, TypeError):
        return InternalError(f"What answers is no gateway (status {answer.status_code}).", fix="Check --url.")
    if kind == ErrorKind.UNAUTHENTICATED:
        return UnauthenticatedError(cause, fix="Name a file with a token: --token-file.")
    if kind == ErrorKind.OVERLOADED:
        return OverloadedError(cause)
    return _ERRORS.get(kind, InternalError)(cause, fix=fix)


def _own(settings: Settings) -> str:
    scheme = "https" if settings.tls.certificate_file else "http"
    host = settings.rest.host
    return settings.rest.public_url or f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.rest.port}"


def _path(study: str) -> str:
    if not study or set(study) - set("0123456789."):
        raise InvalidInputError(
            "This is no StudyInstanceUID.", fix="`entrust studies list` shows those that there are."
        )
    return study


def _row(study: dict[str, Any]) -> tuple[str, ...]:
    review, problem = study["review"], study["problem"]
    received = datetime.fromisoformat(study["received_at"]).astimezone(UTC)
    return (
        study["study"],
        study["state"],
        study["priority"],
        f"{review['score']:.2f} {review['reliability']}" if review else "",
        study["task"],
        study["step"],
        f"{received:%Y-%m-%d %H:%M:%SZ}",
        problem["detail"] if problem else study["reason"],
    )
