"""Associations with a target: asked for, and given back whatever happens in between."""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from entrust.errors import DeliveryFailedError, DeliveryRefusedError
from service.associations import Parked, send_at_once
from service.delivery.targets import MAX_PDU_BYTES, DimseTarget

_PERMANENT = 0x01
"""Result of a rejection that would be the same again (PS3.8 table 9-21)."""
_MAX_CONTEXTS = 128
_ANSWER_SECONDS = 10.0
Contexts = Sequence[tuple[str, Sequence[str]]]
"""Abstract syntax and transfer syntaxes of each presentation context."""
Handlers = Sequence[tuple[Any, ...]]
Result = TypeVar("Result")


async def apart(work: Callable[[], Result]) -> Result:
    """Run work in a thread of its own: an association may wait for minutes, and the event loop's threads are few."""
    executor = ThreadPoolExecutor(1, "delivery")
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, contextvars.copy_context().run, work)
    finally:
        executor.shutdown(wait=False)


@contextlib.contextmanager
def associated(
    target: DimseTarget,
    contexts: Contexts,
    *,
    handlers: Handlers = (),
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    listening: bool = False,
) -> Iterator[Association]:
    """Hold an association with a target, within the block.

    Args:
        target: The receiver.
        contexts: What is going to be spoken.
        handlers: Of pynetdicom's events.
        roles: What we want to be for a class other than its user.
        listening: Whether the target makes requests of its own, beside answering ours.

    Raises:
        DeliveryFailedError: The target cannot be reached, or wants none now.
        DeliveryRefusedError: It does not know us, or is another one.
        InvalidInputError: Certificates cannot be used.
    """
    ae = AE(target.calling_ae_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = target.timeout_seconds
    for abstract, transfers in contexts[:_MAX_CONTEXTS]:
        ae.add_requested_context(abstract, list(transfers))
    connections: list[Any] = []

    def on_open(event: evt.Event) -> None:
        if not listening:
            event.assoc._reactor_checkpoint = Parked(event.assoc)
        connection: Any = event.assoc.dul.socket.socket  # type: ignore[union-attr]
        send_at_once(connection)
        connections.append(connection)

    association = ae.associate(
        target.host,
        target.port,
        ae_title=target.ae_title,
        max_pdu=MAX_PDU_BYTES,
        ext_neg=list(roles),
        tls_args=(target.trust.context(), target.host) if target.tls else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, on_open), *handlers],
    )
    try:
        if not association.is_established:
            raise _why_not(association, target.name)
        yield association
        if association.is_established:
            association.release()
    finally:
        if association.is_established:
            association.abort()
        if association.is_alive():
            association.join(_ANSWER_SECONDS)
        for connection in connections:  # pynetdicom leaves one open that the other side has closed
            connection.close()


def _why_not(association: Association, name: str) -> DeliveryFailedError:
    """Return the error of an association that did not come about."""
    if association.is_rejected:
        answer: Any = association.acceptor.primitive
        if answer is not None and answer.result == _PERMANENT:
            return DeliveryRefusedError(
                f"The target {name} rejected the association.", fix="See its ae_title, and whether it knows ours."
            )
        return DeliveryFailedError(f"The target {name} takes no association now.", fix="Nothing is lost: try again.")
    return DeliveryFailedError(f"The target {name} does not answer (DIMSE).", fix="Nothing is lost: try again.")
