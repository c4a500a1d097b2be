"""Where the records of studies are kept; every change is one transaction that says from which states it may start.

The record decides: a workflow that finds its run ended, cancelled for instance, stops. Methods block.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, RowMapping, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from entrust.errors import NotFoundError
from service.dicom_json import Json
from service.jobs.job import Failure, Priority
from service.studies.record import ACTIVE, ResultRef, Review, Sent, StudyRecord, StudyState
from service.studies.tables import orders, studies, targets

_FAILURE, _REVIEW, _REFS = TypeAdapter(Failure), TypeAdapter(Review), TypeAdapter(tuple[ResultRef, ...])
_RANKS = {priority.rank: priority for priority in Priority}
_NO_REVIEW = -1.0


class StudyRecords:
    """The records.

    Args:
        engine: From :func:`service.studies.tables.open_tables`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def see(self, study_uid: str, name: str, received_seconds: float) -> tuple[StudyRecord, bool]:
        """Note that instances of a study have come.

        Returns:
            The record, and whether what came has not been assessed yet.
        """
        upsert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        row = {
            "name": name, "study_uid": study_uid, "state": StudyState.RECEIVING, "run": 0, "step": "", "task": "",
            "priority_rank": Priority.ROUTINE.rank, "reason": "", "received_seconds": received_seconds,
            "assessed_seconds": 0.0, "review_score": _NO_REVIEW, "results": "[]", "images_purged": False,
        }  # fmt: skip
        statement = upsert(studies).values(row)
        with self._engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"received_seconds": statement.excluded.received_seconds},
                    where=studies.c.received_seconds < received_seconds,
                )
            )
            found = self._row(connection, studies.c.name == name)
            return self._record(connection, found), found["assessed_seconds"] < found["received_seconds"]

    def get(self, *, name: str = "", study_uid: str = "") -> StudyRecord:
        """Return a record.

        Raises:
            NotFoundError: There is no such study.
        """
        which = studies.c.name == name if name else studies.c.study_uid == study_uid
        with self._engine.connect() as connection:
            return self._record(connection, self._row(connection, which))

    def find(
        self, states: Sequence[StudyState] = (), *, limit: int = 100, offset: int = 0
    ) -> tuple[list[StudyRecord], int]:
        """Return the worklist: priority first, then what needs a person's eyes most, then what has waited longest.

        Args:
            states: Those that are wanted; all when empty.
            limit: Most to return.
            offset: How many to pass over.

        Returns:
            The records, and how many there are in all.
        """
        where = [studies.c.state.in_(states)] if states else []
        order = (studies.c.priority_rank, studies.c.review_score.desc(), studies.c.received_seconds, studies.c.name)
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(studies).where(*where)).scalar_one()
            page = select(studies).where(*where).order_by(*order).limit(limit).offset(offset)
            return [self._record(connection, row) for row in connection.execute(page).mappings().all()], total

    def active(self) -> list[StudyRecord]:
        """Return all records whose run has not ended."""
        return self.find(ACTIVE, limit=-1 if self._engine.dialect.name == "sqlite" else 2**31)[0]

    def counts(self) -> Mapping[StudyState, int]:
        """Return how many studies are in each state."""
        with self._engine.connect() as connection:
            found = connection.execute(select(studies.c.state, func.count()).group_by(studies.c.state)).all()
        return dict.fromkeys(StudyState, 0) | {StudyState(state): int(number) for state, number in found}

    def oldest_queued_seconds(self) -> float | None:
        """Return when the study was accepted that has waited longest, since 1970; None where none waits."""
        oldest = select(func.min(studies.c.queued_seconds)).where(studies.c.state == StudyState.QUEUED)
        with self._engine.connect() as connection:
            return connection.execute(oldest).scalar()

    def assess(self, name: str, state: StudyState | None, reason: str, *, assessed_seconds: float = 0.0) -> None:
        """Note what was made of a study that is not begun.

        Args:
            name: The study.
            state: Its state from now on, if it has never been begun; None leaves it.
            reason: Why, in one sentence.
            assessed_seconds: Up to which arrival this holds; 0 where time alone may change it.
        """
        values: dict[str, Any] = {"reason": reason} | ({"state": state} if state else {})
        never = studies.c.state.in_((StudyState.RECEIVING, StudyState.IGNORED))
        with self._engine.begin() as connection:
            connection.execute(update(studies).where(studies.c.name == name, never).values(values))
            if assessed_seconds:
                known = studies.c.assessed_seconds < assessed_seconds
                connection.execute(
                    update(studies).where(studies.c.name == name, known).values(assessed_seconds=assessed_seconds)
                )

    def begin(
        self,
        name: str,
        *,
        priority: Priority,
        task: str = "",
        considered_seconds: float,
        attributes: Json | None = None,
        order: str = "",
        now: float | None = None,
    ) -> tuple[StudyRecord, bool]:
        """Begin another run, unless one goes on, or somebody else has the study to itself.

        Returns:
            The record, and whether a run was begun.
        """
        fresh = {
            "state": StudyState.QUEUED, "run": studies.c.run + 1, "step": "", "task": task, "reason": "",
            "priority_rank": priority.rank, "considered_seconds": considered_seconds, "started_seconds": None,
            "assessed_seconds": considered_seconds, "queued_seconds": time.time() if now is None else now,
            "finished_seconds": None, "failure": None, "images_purged": False,
        }  # fmt: skip
        with self._engine.begin() as connection:
            begun = self._take(connection, name, order)
            if begun:
                connection.execute(update(studies).where(studies.c.name == name).values(fresh))
                connection.execute(delete(targets).where(targets.c.name == name))
                self._put_order(connection, name, order, begun=bool(order), attributes=attributes or {})
            return self._record(connection, self._row(connection, studies.c.name == name)), begun

    def begin_delivery(self, name: str) -> tuple[StudyRecord, bool]:
        """Begin another run that hands over the results of the last to the targets that do not have them."""
        fresh = {
            "state": StudyState.QUEUED, "run": studies.c.run + 1, "finished_seconds": None, "failure": None,
            "queued_seconds": time.time(), "started_seconds": None, "step": "",
        }  # fmt: skip
        with self._engine.begin() as connection:
            begun = self._take(connection, name, "")
            if begun:
                connection.execute(update(studies).where(studies.c.name == name).values(fresh))
                failed = targets.c.state == Sent.FAILED
                values = {"state": Sent.PENDING, "failure": None}
                connection.execute(update(targets).where(targets.c.name == name, failed).values(values))
            return self._record(connection, self._row(connection, studies.c.name == name)), begun

    def hold(self, name: str, order: str) -> bool:
        """Give a study to an order alone; False while a run of it goes on, or another order has it."""
        with self._engine.begin() as connection:
            if not self._take(connection, name, order):
                return False
            self._put_order(connection, name, order, begun=False, attributes={})
            return True

    def ordered(self, order: str) -> StudyRecord | None:
        """Return the study that an order has; None where it has none."""
        which = select(orders.c.name).where(orders.c.order_id == order).scalar_subquery()
        with self._engine.connect() as connection:
            row = connection.execute(select(studies).where(studies.c.name == which)).mappings().first()
            return self._record(connection, row) if row is not None else None

    def holders(self) -> list[str]:
        """Return all orders that have a study."""
        with self._engine.connect() as connection:
            return list(connection.execute(select(orders.c.order_id).where(orders.c.order_id != "")).scalars())

    def release(self, order: str) -> None:
        """Let the study of an order be anybody's again."""
        with self._engine.begin() as connection:
            connection.execute(update(orders).where(orders.c.order_id == order).values(order_id="", begun=False))

    def enter(self, record_id: str, step: str) -> StudyRecord | None:
        """Note that a step begins; None where the run has ended meanwhile, and nothing is to be done."""
        values = {"state": StudyState.RUNNING, "step": step}
        started = {"started_seconds": func.coalesce(studies.c.started_seconds, time.time())}
        with self._engine.begin() as connection:
            if not self._update(connection, record_id, values | started):
                return None
            return self._record(connection, self._row(connection, _of(record_id)))

    def note(
        self,
        record_id: str,
        *,
        task: str = "",
        review: Review | None = None,
        results: Sequence[ResultRef] = (),
        considered_seconds: float | None = None,
        send_to: Iterable[str] = (),
    ) -> None:
        """Add what a step has found."""
        values: dict[str, Any] = {"task": task} if task else {}
        if review is not None:
            values |= {"review": _REVIEW.dump_json(review).decode(), "review_score": review.score}
        if considered_seconds is not None:
            values["considered_seconds"] = considered_seconds
        if results:
            values["results"] = _REFS.dump_json(tuple(results)).decode()
        upsert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        with self._engine.begin() as connection:
            if values:
                self._update(connection, record_id, values)
            for target in send_to:
                row = {"name": _name(record_id), "target": target, "state": Sent.PENDING}
                connection.execute(upsert(targets).values(row).on_conflict_do_nothing())

    def end(self, record_id: str, state: StudyState, failure: Failure | None = None) -> bool:
        """End a run; False where it had ended already."""
        values = {"state": state, "finished_seconds": time.time(), "failure": _failure(failure)}
        with self._engine.begin() as connection:
            return self._update(connection, record_id, values)

    def settle(self, record_id: str, target: str, sent: Sent, failure: Failure | None = None) -> bool:
        """Note how it ended with one target; the last one ends the run. Return whether this was it."""
        with self._engine.begin() as connection:
            if not self._update(connection, record_id, {"run": studies.c.run}):  # from here on nobody else settles
                return False
            name = _name(record_id)
            mine = (targets.c.name == name, targets.c.target == target)
            connection.execute(update(targets).where(*mine).values({"state": sent, "failure": _failure(failure)}))
            rows = connection.execute(select(targets).where(targets.c.name == name)).mappings().all()
            if any(row["state"] == Sent.PENDING for row in rows):
                return False
            failed = next((row["failure"] for row in rows if row["state"] == Sent.FAILED), None)
            state = StudyState.FAILED if failed else StudyState.SUCCEEDED
            values = {"state": state, "finished_seconds": time.time(), "failure": failed}
            return self._update(connection, record_id, values)

    def over(self, before_seconds: float, *, with_images: bool, limit: int = 100) -> list[StudyRecord]:
        """Return studies that ended, or were found to be none of ours, before a time; the longest ago first.

        Args:
            before_seconds: Since 1970.
            with_images: Whether only those are wanted whose images are still here.
            limit: Most to return.
        """
        since = func.coalesce(studies.c.finished_seconds, studies.c.received_seconds)
        ended = studies.c.state.in_([state for state in StudyState if state.final])
        query = select(studies).where(ended, since < before_seconds).order_by(since).limit(limit)
        held = select(orders.c.name).where(orders.c.order_id != "")
        query = query.where(studies.c.name.not_in(held))
        if with_images:
            query = query.where(studies.c.images_purged.is_(False))
        with self._engine.connect() as connection:
            return [self._record(connection, row) for row in connection.execute(query).mappings().all()]

    def purged(self, name: str) -> None:
        """Note that the images of a study are gone."""
        with self._engine.begin() as connection:
            connection.execute(update(studies).where(studies.c.name == name).values(images_purged=True))

    def forget(self, name: str) -> None:
        """Remove a record."""
        with self._engine.begin() as connection:
            for table in (targets, orders, studies):
                connection.execute(delete(table).where(table.c.name == name))

    def _take(self, connection: Connection, name: str, order: str) -> bool:
        """Keep others from a study until the end of the transaction; False where a run or another order has it."""
        idle = studies.c.state.not_in(ACTIVE)
        if not connection.execute(
            update(studies).where(studies.c.name == name, idle).values(run=studies.c.run)
        ).rowcount:
            return False
        holder = connection.execute(select(orders.c.order_id).where(orders.c.name == name)).scalar()
        return not holder or holder == order

    def _put_order(self, connection: Connection, name: str, order: str, *, begun: bool, attributes: Json) -> None:
        connection.execute(delete(orders).where(orders.c.name == name))
        if order or attributes:
            row = {"name": name, "order_id": order, "begun": begun, "attributes": json.dumps(attributes)}
            connection.execute(insert(orders).values(row))

    def _update(self, connection: Connection, record_id: str, values: Mapping[str, Any]) -> bool:
        active = studies.c.state.in_(ACTIVE)
        return bool(connection.execute(update(studies).where(_of(record_id), active).values(values)).rowcount)

    def _row(self, connection: Connection, which: Any) -> RowMapping:
        row = connection.execute(select(studies).where(which)).mappings().first()
        if row is None:
            raise NotFoundError("There is no such study here.", fix="GET /v1/studies lists those that there are.")
        return row

    def _record(self, connection: Connection, row: RowMapping) -> StudyRecord:
        sent = select(targets.c.target, targets.c.state).where(targets.c.name == row["name"]).order_by(targets.c.target)
        order = connection.execute(select(orders).where(orders.c.name == row["name"])).mappings().first()
        return StudyRecord(
            study_uid=row["study_uid"],
            name=row["name"],
            received_seconds=row["received_seconds"],
            state=StudyState(row["state"]),
            run=row["run"],
            considered_seconds=row["considered_seconds"],
            step=row["step"],
            task=row["task"],
            priority=_RANKS[row["priority_rank"]],
            reason=row["reason"],
            queued_seconds=row["queued_seconds"],
            started_seconds=row["started_seconds"],
            finished_seconds=row["finished_seconds"],
            failure=_FAILURE.validate_json(row["failure"]) if row["failure"] else None,
            review=_REVIEW.validate_json(row["review"]) if row["review"] else None,
            results=_REFS.validate_json(row["results"]),
            targets={target: Sent(state) for target, state in connection.execute(sent)},
            images_purged=row["images_purged"],
            order=order["order_id"] if order else "",
            order_begun=order["begun"] if order else False,
            attributes=json.loads(order["attributes"]) if order else {},
        )


def _name(record_id: str) -> str:
    return record_id.rpartition("-")[0]


def _of(record_id: str) -> Any:
    name, _, run = record_id.rpartition("-")
    return (studies.c.name == name) & (studies.c.run == (int(run) if run.isdecimal() else -1))


def _failure(failure: Failure | None) -> str | None:
    return _FAILURE.dump_json(failure).decode() if failure is not None else None
