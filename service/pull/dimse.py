"""A PACS that speaks DIMSE: C-FIND finds, C-GET or C-MOVE brings (PS3.4 C, study root)."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from entrust.errors import OverloadedError, SourceUnavailableError
from service.associations import Parked, send_at_once
from service.pull.keeping import Keeper
from service.pull.wanted import Found, Reason, Wanted, is_uid

_NATIVE: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
_COMPRESSED = (
    JPEG2000Lossless, JPEG2000, JPEGLossless, JPEGLosslessSV1, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSLossless,
    JPEGLSNearLossless, RLELossless, DeflatedExplicitVRLittleEndian,
)  # fmt: skip
"""Offered one by one for each class, so that a source can send each instance as it keeps it."""
_UNTOLD_CLASSES = (
    CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage, EnhancedCTImageStorage,
    EnhancedMRImageStorage, EnhancedPETImageStorage,
)  # fmt: skip
"""Offered where a source does not say of which classes its instances are."""
_CLASSES_PER_ASSOCIATION = 8
"""128 presentation contexts at most (PS3.8 9.3.2.2): one for C-GET, and eleven for each class."""
_UIDS_PER_REQUEST = 250
_MAX_PDU_BYTES = 128 * 1024

SUCCESS, PENDING, PENDING_WARNING, SUB_OPERATIONS_FAILED = 0x0000, 0xFF00, 0xFF01, 0xB000
DESTINATION_UNKNOWN, NOTHING_MATCHES = 0xA801, 0xA900
_STORE_REFUSED, _OUT_OF_RESOURCES = 0xC000, 0xA700


@dataclass(frozen=True)
class Peer:
    """Whom to call, and as whom.

    Attributes:
        host: Its address.
        port: Its port.
        ae_title: Its title.
        own_ae_title: Ours; with C-MOVE also the destination, which the peer must know.
        method: ``c-get`` brings instances by the association that asked for them, ``c-move`` by one to our storage SCP.
        tls: How its certificate is checked, and ours shown; no encryption when not given.
        timeout_seconds: Longest silence.
    """

    host: str
    port: int
    ae_title: str
    own_ae_title: str
    method: Literal["c-get", "c-move"] = "c-get"
    tls: ssl.SSLContext | None = None
    timeout_seconds: float = 60.0


class DimseSource:
    """A peer that is a query/retrieve SCP.

    Args:
        peer: Whom to call.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def find_studies(self, wanted: Wanted) -> Sequence[str]:
        """Return the StudyInstanceUIDs that match."""
        self._knock()
        with self._finding() as association:
            found = self._find(
                association, "STUDY", StudyInstanceUID=wanted.study_uid, AccessionNumber=wanted.accession_number
            )
            return list(dict.fromkeys(uid for one in found if (uid := _text(one, "StudyInstanceUID"))))

    def find_instances(self, study_uid: str, wanted: Wanted) -> Iterator[Found]:
        """Yield the instances of the wanted series of a study."""
        with self._finding() as association:
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": ""}
            series = [
                _text(one, "SeriesInstanceUID")
                for one in self._find(association, "SERIES", **keys, Modality="")
                if not wanted.modalities or _text(one, "Modality") in wanted.modalities
            ]
            for series_uid in dict.fromkeys(uid for uid in series if is_uid(uid)):
                if wanted.series_uids and series_uid not in wanted.series_uids:
                    continue
                keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
                seen: set[str] = set()
                for one in self._find(association, "IMAGE", **keys, SOPInstanceUID="", SOPClassUID=""):
                    uid = _text(one, "SOPInstanceUID")
                    if is_uid(uid) and uid not in seen and (not wanted.sop_uids or uid in wanted.sop_uids):
                        seen.add(uid)
                        yield Found(study_uid, series_uid, uid, _text(one, "SOPClassUID"))

    def fetch(self, series: Sequence[Found], keeper: Keeper, stop: threading.Event, *, whole: bool) -> None:
        """Bring instances of one series; a whole one is named as such, which every source understands."""
        for part, uids in self._requests(series, whole=whole):
            if stop.is_set():
                return
            identifier = _identifier(part[0], uids)
            if self._peer.method == "c-move":
                self._move(identifier, keeper, stop)
            else:
                self._get(identifier, part, keeper, stop)

    def close(self) -> None:
        """Nothing is kept open between requests."""

    def _requests(self, series: Sequence[Found], *, whole: bool) -> Iterator[tuple[list[Found], list[str]]]:
        """Yield what goes into one request each, with the instances to name; none where the series is meant."""
        classes = sorted({one.sop_class_uid for one in series})
        if whole and len(classes) <= _CLASSES_PER_ASSOCIATION:
            yield list(series), []
            return
        for start in range(0, len(classes), _CLASSES_PER_ASSOCIATION):
            among = set(classes[start : start + _CLASSES_PER_ASSOCIATION])
            of_these = [one for one in series if one.sop_class_uid in among]
            for first in range(0, len(of_these), _UIDS_PER_REQUEST):
                part = of_these[first : first + _UIDS_PER_REQUEST]
                yield part, [one.sop_uid for one in part]

    def _get(self, identifier: Dataset, part: list[Found], keeper: Keeper, stop: threading.Event) -> None:
        """Have instances sent by the same association, in which we are the SCP of their classes (PS3.7 D.3.3.4)."""
        named = {one.sop_class_uid for one in part if one.sop_class_uid}
        classes = sorted(named if all(one.sop_class_uid for one in part) else named | set(_UNTOLD_CLASSES))
        contexts = [build_context(StudyRootQueryRetrieveInformationModelGet)]
        for one in classes:
            contexts.append(build_context(one, _NATIVE))
            contexts += [build_context(one, syntax) for syntax in _COMPRESSED]
        intake = _Intake(keeper)
        roles = [build_role(one, scp_role=True) for one in classes]
        with self._association(contexts, roles, [(evt.EVT_C_STORE, intake.on_store)]) as association:
            accepted = {str(context.abstract_syntax) for context in association.accepted_contexts if context.as_scp}
            for found in part:
                if found.sop_class_uid and found.sop_class_uid not in accepted:
                    keeper.fail(found.sop_uid, Reason.SOP_CLASS_REFUSED)
            if not accepted:
                return
            answers = association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet)
            self._follow(association, answers, keeper, stop, intake)

    def _move(self, identifier: Dataset, keeper: Keeper, stop: threading.Event) -> None:
        """Have instances sent to our storage SCP."""
        contexts = [build_context(StudyRootQueryRetrieveInformationModelMove)]
        with self._association(contexts) as association:
            answers = association.send_c_move(
                identifier, self._peer.own_ae_title, StudyRootQueryRetrieveInformationModelMove
            )
            self._follow(association, answers, keeper, stop)

    def _follow(
        self,
        association: Association,
        answers: Iterable[tuple[Dataset, Dataset | None]],
        keeper: Keeper,
        stop: threading.Event,
        intake: "_Intake | None" = None,
    ) -> None:
        """Read the answers to a C-GET or C-MOVE to their end."""
        for status, identifier in answers:
            if intake is not None and intake.full is not None:
                raise intake.full
            if stop.is_set():
                association.abort()
                return
            code = status.get("Status")
            if code is None:
                raise SourceUnavailableError(
                    "The source broke off.",
                    fix="See that it lets this gateway's AE title retrieve; then try again: what has come is kept.",
                )
            if code in (PENDING, PENDING_WARNING, SUCCESS, NOTHING_MATCHES):
                keeper.look()
                continue
            if code == DESTINATION_UNKNOWN:
                raise SourceUnavailableError(
                    "The source does not know this gateway as a destination.",
                    fix="Tell it this gateway's AE title, host and port (ENTRUST_DIMSE__…), or use c-get.",
                )
            failed = _texts(identifier, "FailedSOPInstanceUIDList")
            for uid in failed:
                keeper.fail_if_missing(uid, Reason.SOURCE_FAILED)
            if code != SUB_OPERATIONS_FAILED and not failed:
                raise _failed("bring", code)

    def _knock(self) -> None:
        """See that somebody listens: pynetdicom does not say why it could not connect, and leaves a socket open then.

        Raises:
            SourceUnavailableError: Nobody does.
        """
        try:
            socket.create_connection((self._peer.host, self._peer.port), self._peer.timeout_seconds).close()
        except OSError as error:
            raise SourceUnavailableError(
                f"The source cannot be reached ({type(error).__name__}).",
                fix="See that it runs, and that its host and port are right.",
            ) from error

    @contextlib.contextmanager
    def _finding(self) -> Iterator[Association]:
        with self._association([build_context(StudyRootQueryRetrieveInformationModelFind)]) as association:
            yield association

    def _find(self, association: Association, level: str, **keys: str) -> list[Dataset]:
        query = Dataset()
        query.QueryRetrieveLevel = level
        for keyword, value in keys.items():
            setattr(query, keyword, value)
        found = []
        for status, identifier in association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
            code = status.get("Status")
            if code is None:
                raise SourceUnavailableError(
                    "The source broke off a search.", fix="See that it runs, and lets this gateway's AE title search."
                )
            if code in (PENDING, PENDING_WARNING):
                if identifier is None:
                    raise SourceUnavailableError("The source answers a search with what cannot be read.")
                found.append(identifier)
            elif code != SUCCESS:
                raise _failed("search", code)
        return found

    @contextlib.contextmanager
    def _association(
        self,
        contexts: list[PresentationContext],
        roles: list[SCP_SCU_RoleSelectionNegotiation] | None = None,
        handlers: list[tuple[Any, ...]] | None = None,
    ) -> Iterator[Association]:
        """Open an association.

        Raises:
            SourceUnavailableError: The peer is away, or refuses.
        """
        peer, connections = self._peer, list[socket.socket]()
        ae = AE(peer.own_ae_title)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = peer.timeout_seconds

        def opened(event: evt.Event) -> None:
            event.assoc._reactor_checkpoint = Parked(event.assoc)
            connection: Any = event.assoc.dul.socket
            send_at_once(connection.socket)
            connections.append(connection.socket)

        association = ae.associate(
            peer.host,
            peer.port,
            contexts,
            peer.ae_title,
            max_pdu=_MAX_PDU_BYTES,
            ext_neg=list(roles or []),
            tls_args=(peer.tls, peer.host) if peer.tls else None,
            evt_handlers=[(evt.EVT_CONN_OPEN, opened), *(handlers or [])],
        )
        try:
            if not association.is_established:
                raise _not_established(association)
            yield association
        finally:
            if association.is_established:
                association.release()
            if association.is_alive():
                association.join(peer.timeout_seconds)
            for connection in connections:  # pynetdicom leaves one open that the peer has closed
                connection.close()


class _Intake:
    """Takes the instances of one association; runs in the thread that asked for them."""

    def __init__(self, keeper: Keeper) -> None:
        self.full: OverloadedError | None = None
        self._keeper = keeper

    def on_store(self, event: evt.Event) -> int:
        """Keep an instance: a success says that the disk holds it."""
        uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        try:
            content = event.encoded_dataset()
            if len(content) > self._keeper.max_instance_bytes:
                self._keeper.fail(uid, Reason.TOO_LARGE)
                return _OUT_OF_RESOURCES
            with self._keeper.receiving() as file:
                file.write(content)
        except OverloadedError as error:
            self.full = error
            return _OUT_OF_RESOURCES
        return SUCCESS if self._keeper.holds(uid) else _STORE_REFUSED


def _identifier(found: Found, sop_uids: list[str]) -> Dataset:
    """Return what to ask for: a series, or instances of it."""
    ds = Dataset()
    ds.QueryRetrieveLevel = "IMAGE" if sop_uids else "SERIES"
    ds.StudyInstanceUID = found.study_uid
    ds.SeriesInstanceUID = found.series_uid
    if sop_uids:
        ds.SOPInstanceUID = sop_uids
    return ds


def _not_established(association: Association) -> SourceUnavailableError:
    """Say why there is no association."""
    if association.is_rejected:
        return SourceUnavailableError(
            "The source rejects the association.",
            fix="See that it knows this gateway's AE title, and that ae_title is its own.",
        )
    if association.is_aborted and association.acceptor.primitive is not None:
        return SourceUnavailableError("The source has none of the services that a retrieval needs.")
    return SourceUnavailableError(
        "The source cannot be reached.", fix="See that it runs, and that its host, port and TLS are right."
    )


def _failed(what: str, code: int) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"The source fails to {what}.", fix="See the source's own log.", details={"status": f"{code:04X}"}
    )


def _text(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip().rstrip("\0")


def _texts(ds: Dataset | None, keyword: str) -> list[str]:
    found = ds.get(keyword) if ds is not None else None
    return [] if not found else [found] if isinstance(found, str) else [str(one) for one in found]
