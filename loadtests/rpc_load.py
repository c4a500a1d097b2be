"""Load over gRPC, every study streamed: ``python -m loadtests.rpc_load --address 127.0.0.1:8081``.

The same mix as over HTTP, a Poisson process again. Progress is read as it comes; a visitor who takes the job back
cancels the call; a refusal must say when to try again (``google.rpc.RetryInfo``).
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from loadtests.hosts import require_permission
from loadtests.mix import CHANGE_OF_MIND_SECONDS, LONGEST_SECONDS, Arrivals, Visit
from loadtests.records import Record, Recorder
from loadtests.studies import write_archives
from service.api.rpc.v1 import segmentation_pb2 as pb
from service.api.rpc.v1 import segmentation_pb2_grpc as pb_grpc

PIECE_BYTES = 512 * 1024
PRIORITIES = {"routine": pb.PRIORITY_ROUTINE, "stat": pb.PRIORITY_STAT}


async def pieces(visit: Visit, archive: bytes) -> AsyncIterator[pb.SegmentStreamRequest]:
    """Yield a study as it is streamed."""
    asked: dict[str, Any] = {name: int(visit.parameters[name]) for name in ("num_hypotheses", "num_steps")}
    asked |= {"task": visit.task, "priority": PRIORITIES[visit.priority]}
    asked["sampler"] = visit.parameters.get("sampler", "")
    yield pb.SegmentStreamRequest(start=pb.SegmentStreamStart(parameters=pb.SegmentationParameters(**asked)))
    yield pb.SegmentStreamRequest(file=pb.InputFileStart())
    for start in range(0, len(archive), PIECE_BYTES):
        yield pb.SegmentStreamRequest(data=archive[start : start + PIECE_BYTES])


async def make(stub: Any, visit: Visit, archive: bytes, token: str = "") -> tuple[str, float | None, str]:
    """Make one visit; return outcome, hint to try again, and the status' message."""
    metadata = [("authorization", f"Bearer {token}")] if token else []
    call = stub.SegmentStream(pieces(visit, archive), timeout=LONGEST_SECONDS, metadata=metadata)
    if visit.kind == "cancel":
        asyncio.get_running_loop().call_later(CHANGE_OF_MIND_SECONDS, call.cancel)
    received = 0
    try:
        async for news in call:
            received += len(news.result.data)
    except asyncio.CancelledError:
        if visit.kind != "cancel":
            raise
        return "cancelled", None, ""
    except grpc.aio.AioRpcError as error:
        return _outcome(error)
    return ("succeeded" if received else "empty"), None, ""


def _outcome(error: Any) -> tuple[str, float | None, str]:
    """Return what a status says: the kind of error, when to try again, and the message."""
    kind, hint = "connection" if error.code() is grpc.StatusCode.UNAVAILABLE else error.code().name.lower(), None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        if detail.Unpack(info):
            kind = info.metadata["kind"]
        elif detail.Unpack(retry):
            hint = retry.retry_delay.ToTimedelta().total_seconds()
    return kind, hint, str(error.details())[:200]


async def load(
    address: str, arrivals: Arrivals, folder: Path, record: Recorder | None, token: str = ""
) -> list[Record]:
    """Send some visits, and let every one of them end.

    Args:
        address: ``host:port``.
        arrivals: What, and when.
        folder: Where the studies lie or are laid.
        record: Told of each.
        token: Of the gateway, where it wants one.
    """
    archives = {name: path.read_bytes() for name, path in write_archives(folder).items()}
    found: list[Record] = []

    async def one(stub: Any, visit: Visit) -> None:
        began, clock = time.time(), time.perf_counter()
        outcome, hint, detail = await make(stub, visit, archives[visit.archive], token)
        expected = visit.expects(outcome) and (outcome != "overloaded" or hint is not None)
        made = Record(
            "grpc", visit.kind, visit.name, visit.priority, began, time.perf_counter() - clock, outcome, expected,
            hint, visit.makes_job, "" if expected else detail,
        )  # fmt: skip
        found.append(made)
        if record is not None:
            record(made)

    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as visits:
        stub = pb_grpc.SegmentationServiceStub(channel)
        start = time.monotonic()
        for due, visit in arrivals:
            await asyncio.sleep(max(start + due - time.monotonic(), 0.0))
            visits.create_task(one(stub, visit))
    return found


def main(
    address: Annotated[str, typer.Option(help="host:port of the gRPC face.")] = "127.0.0.1:8081",
    visits: Annotated[int, typer.Option(min=1, max=100_000, help="How many.")] = 20,
    seconds: Annotated[float, typer.Option(min=0.0, max=36_000.0, help="Time within which they begin.")] = 60.0,
    deck: Annotated[str, typer.Option(help="Mix of visits.")] = "mixed",
    seed: Annotated[int, typer.Option(help="Order and times of the visits.")] = 0,
    archives: Annotated[Path | None, typer.Option(help="Folder of the studies; made anew when not given.")] = None,
    records: Annotated[Path | None, typer.Option(help="File to which every visit is written.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File whose first line is a token of the gateway.")] = None,
    owned: Annotated[bool, typer.Option("--i-own-this-host", help="Load a host that is not this machine.")] = False,
) -> None:
    """Stream studies, and say how they ended."""
    require_permission(address.rpartition(":")[0].strip("[]"), owned=owned)
    with contextlib.ExitStack() as stack:
        folder = archives or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="entrust-load-")))
        recorder = Recorder(records) if records else None
        token = token_file.read_text().split()[0] if token_file else ""
        found = asyncio.run(load(address, Arrivals(deck, visits, seconds, seed), folder, recorder, token))
    for record in found:
        typer.echo(f"{record.outcome:20} {record.kind:10} {record.case:14} {record.seconds:8.2f} s")
    if not all(record.expected for record in found):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
