"""A small UPS-RS task manager: a second implementation of PS3.18 section 11, strict about the states of PS3.4 CC.

It runs as a process of its own (``python -m tests.servers.task_manager PORT``), or within a test's event loop.
"""

import argparse
import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

Json = dict[str, Any]
GLOBAL = "1.2.840.10008.5.1.4.34.5"
TYPE = "application/dicom+json"
MOVES = {"SCHEDULED": {"IN PROGRESS"}, "IN PROGRESS": {"COMPLETED", "CANCELED"}, "COMPLETED": set(), "CANCELED": set()}
NEEDED_TO_COMPLETE = ("00404028", "00404019", "00404050", "00404051", "00404033")
"""In the performed procedure: station, procedure, begin, end, output (PS3.4 table CC.2.5-3, final state)."""


def text(ds: Json, tag: str) -> str:
    return str((ds.get(tag, {}).get("Value") or [""])[0])


def item(ds: Json, tag: str) -> Json:
    return (ds.get(tag, {}).get("Value") or [{}])[0]  # type: ignore[no-any-return]


@dataclass
class Item:
    """A workitem, its key, and what happened to it."""

    attributes: Json
    transaction_uid: str = ""
    history: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        return text(self.attributes, "00741000")


class Manager:
    """The state of a task manager."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.subscribers: set[str] = set()
        self.channels: dict[str, WebSocket] = {}
        self.refused: list[str] = []
        self.silent = False
        self.away = False
        self.page = 1000
        self.thief = ""
        """A workitem that another performer claims at the very moment at which somebody else does."""

    def add(self, attributes: Json) -> None:
        self.items[text(attributes, "00080018")] = Item(attributes)

    def application(self) -> Starlette:
        path = "/workitems/{uid}"
        return Starlette(
            routes=[
                Route("/workitems", self.on_search, methods=["GET"]),
                Route("/workitems", self.on_create, methods=["POST"]),
                Route(f"{path}/state", self.on_state, methods=["PUT"]),
                Route(f"{path}/cancelrequest", self.on_cancel_request, methods=["POST"]),
                Route(f"{path}/subscribers/{{aet}}", self.on_subscribe, methods=["POST", "DELETE"]),
                Route(path, self.on_get, methods=["GET"]),
                Route(path, self.on_update, methods=["POST"]),
                Route("/history", self.on_history, methods=["GET"]),
                WebSocketRoute("/ws/subscribers/{aet}", self.on_channel),
            ]
        )

    async def on_search(self, request: Request) -> Response:
        if self.away:
            return Response(status_code=503)
        wanted = request.query_params.get("ProcedureStepState", "")
        offset, limit = int(request.query_params.get("offset", 0)), int(request.query_params.get("limit", 100))
        found = [one.attributes for one in self.items.values() if wanted in ("", one.state)]
        page = found[offset : offset + min(limit, self.page)]
        return JSONResponse(page, media_type=TYPE) if page else Response(status_code=204)

    async def on_create(self, request: Request) -> Response:
        attributes = await body(request)
        uid = text(attributes, "00080018")
        if uid in self.items:
            return refuse(409, "The Workitem already exists")
        self.add(attributes)
        await self.tell(uid, 1)
        return Response(status_code=201, headers={"Location": f"/workitems/{uid}"})

    async def on_get(self, request: Request) -> Response:
        if self.away:
            return Response(status_code=503)
        found = self.items.get(request.path_params["uid"])
        return JSONResponse([found.attributes], media_type=TYPE) if found else Response(status_code=404)

    async def on_update(self, request: Request) -> Response:
        if self.away:
            return Response(status_code=503)
        found, changes = self.items.get(request.path_params["uid"]), await body(request)
        if found is None:
            return Response(status_code=404)
        key = request.query_params.get("transaction-uid", "")
        if "00741000" in changes or "00081195" in changes:
            return self.refuse(400, "The request sets what only a change of state may set")
        if found.state in ("COMPLETED", "CANCELED"):
            return self.refuse(400, "The submitted request is inconsistent with the current state of the Workitem")
        if found.state == "IN PROGRESS" and not key:
            return self.refuse(400, "The Transaction UID is missing")
        if key != found.transaction_uid:
            return self.refuse(400, "The Transaction UID is incorrect")
        found.attributes |= changes
        found.history.append("update " + text(item(changes, "00741002"), "00741004"))
        await self.tell(request.path_params["uid"], 3)
        return Response(status_code=200)

    async def on_state(self, request: Request) -> Response:
        if self.away:
            return Response(status_code=503)
        found, change = self.items.get(request.path_params["uid"]), await body(request)
        if found is None:
            return Response(status_code=404)
        key, wanted = text(change, "00081195"), text(change, "00741000")
        if self.thief == request.path_params["uid"]:
            self.thief, found.transaction_uid = "", "2.25.1"
            found.attributes["00741000"] = {"vr": "CS", "Value": ["IN PROGRESS"]}
        if not key:
            return self.refuse(400, "The Transaction UID is missing")
        if wanted == found.state and found.state in ("COMPLETED", "CANCELED"):
            warning = f"The UPS is already in the requested state of {wanted}"
            return Response(status_code=200, headers={"Warning": f'299 manager: "{warning}"'})
        if found.state != "SCHEDULED" and key != found.transaction_uid:
            # somebody else's: a claim comes too late, anything else has the wrong key
            claims = wanted == "IN PROGRESS" and found.state == "IN PROGRESS"
            return self.refuse(409 if claims else 400, "The Transaction UID is incorrect")
        if wanted not in MOVES[found.state] and not (wanted == found.state == "IN PROGRESS"):
            return self.refuse(409, "The submitted request is inconsistent with the current state of the Workitem")
        if wanted in ("COMPLETED", "CANCELED") and (missing := lacking(found.attributes, wanted)):
            return self.refuse(409, f"Final state requirements are not met: {missing}")
        found.transaction_uid = key
        found.attributes["00741000"] = {"vr": "CS", "Value": [wanted]}
        found.history.append(f"{wanted} {key}")
        await self.tell(request.path_params["uid"], 1)
        return Response(status_code=200)

    async def on_cancel_request(self, request: Request) -> Response:
        found = self.items.get(request.path_params["uid"])
        if found is None:
            return Response(status_code=404)
        if found.state in ("COMPLETED", "CANCELED"):
            return refuse(409, "The Workitem has ended")
        await self.tell(request.path_params["uid"], 2)
        return Response(status_code=202)

    async def on_subscribe(self, request: Request) -> Response:
        if self.away:
            return Response(status_code=503)
        if request.path_params["uid"] != GLOBAL:
            return Response(status_code=404)
        aet = request.path_params["aet"]
        if request.method == "DELETE":
            self.subscribers.discard(aet)
            return Response(status_code=200)
        self.subscribers.add(aet)
        where = f"ws://{request.url.netloc}/ws/subscribers/{aet}"
        return Response(status_code=201, headers={"Content-Location": where})

    async def on_history(self, request: Request) -> Response:
        return JSONResponse({uid: one.history for uid, one in self.items.items()})

    async def on_channel(self, channel: WebSocket) -> None:
        await channel.accept()
        aet = channel.path_params["aet"]
        self.channels[aet] = channel
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await channel.receive_text()
        if self.channels.get(aet) is channel:
            del self.channels[aet]

    async def tell(self, uid: str, kind: int) -> None:
        """Report an event to every subscriber whose channel is open."""
        found = self.items[uid].attributes
        event = {
            "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.4"]},
            "00001000": {"vr": "UI", "Value": [uid]},
            "00001002": {"vr": "US", "Value": [kind]},
            "00741000": found["00741000"],
            "00404041": found.get("00404041", {"vr": "CS"}),
        }
        if self.silent:
            return
        for aet in self.subscribers & self.channels.keys():
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self.channels[aet].send_text(json.dumps(event))

    def refuse(self, status: int, why: str) -> Response:
        self.refused.append(f"{status} {why}")
        return refuse(status, why)


def lacking(attributes: Json, state: str) -> str:
    """Return what a final state needs and is not there."""
    if state == "COMPLETED":
        step = item(attributes, "00741216")
        return ",".join(tag for tag in NEEDED_TO_COMPLETE if not step.get(tag, {}).get("Value"))
    told = item(attributes, "00741002")
    return ",".join(tag for tag in ("00404052", "0074100E") if not told.get(tag, {}).get("Value"))


def refuse(status: int, why: str) -> Response:
    return Response(status_code=status, headers={"Warning": f'299 manager: "{why}"'})


async def body(request: Request) -> Json:
    found = await request.json()
    return found[0] if isinstance(found, list) else found  # type: ignore[no-any-return]


@dataclass
class RunningManager:
    """A manager within this event loop."""

    manager: Manager
    url: str


@contextlib.asynccontextmanager
async def running_manager(manager: Manager | None = None, port: int = 0) -> AsyncIterator[RunningManager]:
    """Serve a manager until the end of the block."""
    manager = manager or Manager()
    config = uvicorn.Config(manager.application(), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield RunningManager(manager, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def task_manager() -> AsyncIterator[RunningManager]:
    """A task manager of the test's own."""
    async with running_manager() as running:
        yield running


async def create(url: str, *workitems: Json) -> None:
    """Have workitems made over the wire."""
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        for one in workitems:
            (await client.post(f"{url}/workitems", json=[one])).raise_for_status()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    uvicorn.run(Manager().application(), port=parser.parse_args().port, lifespan="off", log_level="error")
