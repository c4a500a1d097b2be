"""Load over HTTP: ``python -m locust -f loadtests/locustfile.py --headless -u 1 --visits 20 --host http://…``.

A user is a source of visits that come whatever became of earlier ones: studies of three sizes that wait for their
results or come back for them, some urgent, some taken back, and some that must be refused. Every kind of visit knows
how it may end; anything else is a failure. Without a host of your own it loads this machine alone.
"""

import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import gevent
from gevent.pool import Group
from locust import FastHttpUser, events, task
from locust.exception import StopUser

from loadtests.hosts import ForeignHostError, require_permission
from loadtests.mix import CHANGE_OF_MIND_SECONDS, DECKS, LONGEST_SECONDS, Arrivals, Visit
from loadtests.records import Record, Recorder
from loadtests.studies import write_archives

ZIP = {"Content-Type": "application/zip"}
POLL_SECONDS = 0.5
SEEDS_APART = 1000
"""Between users, so that each has times of its own."""
RESULTS = 1000
"""Bytes that no answer with results goes below."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any) -> None:
    """Add the load's own options to locust's."""
    parser.add_argument("--visits", type=int, default=20, help="Visits of each user")
    parser.add_argument("--seconds", type=float, default=60.0, help="Time within which they begin")
    parser.add_argument("--deck", choices=sorted(DECKS), default="mixed", help="Mix of visits")
    parser.add_argument("--seed", type=int, default=0, help="Order and times of the visits")
    parser.add_argument("--archives", default="", help="Folder of the studies; made anew when empty")
    parser.add_argument("--records", default="", help="File to which every visit is written as a line of JSON")
    parser.add_argument("--token-file", default="", help="File whose first line is a token of the gateway")
    parser.add_argument("--i-own-this-host", action="store_true", help="Load a host that is not this machine")


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def prepare(environment: Any, **_: Any) -> None:
    """Look at the host and lay out the studies before the first visit."""
    options = environment.parsed_options
    try:
        require_permission(urlsplit(environment.host).hostname or "", owned=options.i_own_this_host)
    except ForeignHostError as error:
        environment.process_exit_code = 2
        raise SystemExit(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="entrust-load-") as made:
        archives = write_archives(Path(options.archives or made))
        Clinic.archives = {name: path.read_bytes() for name, path in archives.items()}
    if options.token_file:
        Clinic.default_headers = {"Authorization": f"Bearer {Path(options.token_file).read_text().split()[0]}"}
    Clinic.record = Recorder(Path(options.records)) if options.records else None


class Clinic(FastHttpUser):
    """A source of visits, each in a greenlet of its own."""

    network_timeout = LONGEST_SECONDS
    connection_timeout = 10.0
    concurrency = 500
    archives: dict[str, bytes]
    record: Recorder | None = None
    numbers = itertools.count()

    def on_start(self) -> None:
        """Draw the times."""
        options = self.environment.parsed_options
        self.visits = Group()
        seed = options.seed + SEEDS_APART * next(self.numbers)
        self.arrivals = Arrivals(options.deck, options.visits, options.seconds, seed)

    def on_stop(self) -> None:
        """Let the visits that have begun come to their end."""
        self.visits.join(timeout=LONGEST_SECONDS)

    @task
    def come(self) -> None:
        """Send each visit on its way when its time has come, and end when all have ended."""
        start = time.monotonic()
        for due, visit in self.arrivals:
            gevent.sleep(max(start + due - time.monotonic(), 0.0))
            self.visits.spawn(self.visit, visit)
        self.visits.join()
        if self.environment.runner.user_count > 1:
            raise StopUser
        self.environment.runner.quit()

    def visit(self, visit: Visit) -> None:
        """Make one visit and write down how it ended."""
        began, clock = time.time(), time.perf_counter()
        outcome, hint, detail = self._make(visit)
        expected = visit.expects(outcome) and (outcome != "overloaded" or hint is not None)
        seconds = time.perf_counter() - clock
        if self.record is not None:
            self.record(
                Record(
                    "rest", visit.kind, visit.name, visit.priority, began, seconds, outcome, expected,
                    hint, visit.makes_job, "" if expected else detail,
                )
            )  # fmt: skip
        self.environment.events.request.fire(
            request_type="VISIT", name=f"{visit.kind} {visit.name}", response_time=1e3 * seconds, response_length=0,
            exception=None if expected else RuntimeError(f"{outcome}: {detail}"), context={},
        )  # fmt: skip

    def _make(self, visit: Visit) -> tuple[str, float | None, str]:
        """Return outcome, hint to try again, and the answer's beginning."""
        waits = visit.kind in ("study", "refusal")
        query = {"task": visit.task, **visit.parameters, "wait": "true" if waits else "false"}
        answer = self._ask(
            "POST", f"/v1/segmentations?{urlencode(query)}", "POST study", data=self.archives[visit.archive]
        )
        if waits or answer.status_code != 202:
            return _outcome(answer)
        job = json.loads(answer.content)["links"]["self"]
        if visit.kind == "cancel":
            gevent.sleep(CHANGE_OF_MIND_SECONDS)
            self._ask("DELETE", job, "DELETE job")
        return self._follow(job)

    def _follow(self, job: str) -> tuple[str, float | None, str]:
        """Come back until the job has ended, and fetch what there is."""
        give_up = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < give_up:
            answer = self._ask("GET", job, "GET job")
            if answer.status_code != 200:
                return _outcome(answer)
            if json.loads(answer.content)["state"] in ("succeeded", "failed", "cancelled"):
                return _outcome(self._ask("GET", f"{job}/results", "GET results"))
            gevent.sleep(POLL_SECONDS)
        return "late", None, "it did not end in time"

    def _ask(self, method: str, path: str, name: str, **options: Any) -> Any:
        """Send a request; what its status means is for the visit to say."""
        with self.client.request(method, path, name=name, headers=ZIP, catch_response=True, **options) as answer:
            if answer.status_code == 0:
                answer.failure(str(answer.error))
            else:
                answer.success()
            return answer


def _outcome(answer: Any) -> tuple[str, float | None, str]:
    """Return how an answer ends a visit: outcome, hint to try again, and its beginning."""
    if answer.status_code == 0:
        return "connection", None, str(answer.error)
    if answer.status_code == 200:
        return ("succeeded" if len(answer.content) > RESULTS else "empty"), None, ""
    text = answer.content[:200].decode(errors="replace")
    try:
        kind = str(json.loads(answer.content)["type"]).rsplit("/", 1)[-1]
    except (ValueError, KeyError):
        kind = f"status-{answer.status_code}"
    hint = answer.headers.get("Retry-After")
    return kind, None if hint is None else float(hint), text
