"""The checker before the door: one set of results against the images that it cites, as both lie on the disk now."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from entrust.errors import DeliveryRefusedError, InternalError, InvalidInputError
from service.delivery.instances import InstanceRef
from service.dicom_json import Json
from service.encode.checks import SEGMENTATION, USUAL, ImagesAtHand, cited_series, compare, name_of, read_header
from service.ingest import IngestLimits, overlay_each, read_planes
from service.ingest.headers import PARSE_FAILURES, deviations
from service.study import Planes

FindImages = Callable[[str, str], Iterable[Path]]
"""Study UID and series UID → the files of that series; none where it is not at hand."""


class Checker:
    """Compares sets of results with their images.

    Args:
        find_images: Where the images are.
        limits: Bounds on what is read.
    """

    def __init__(self, find_images: FindImages, limits: IngestLimits) -> None:
        self._find_images = find_images
        self._limits = limits

    def check(self, study_uid: str, refs: Sequence[InstanceRef], attributes: Json | None = None) -> None:
        """Return where everything fits.

        Args:
            study_uid: StudyInstanceUID of all of them.
            refs: One whole set of results.
            attributes: What they say of patient and request before what the images say, as DICOM JSON.

        Raises:
            DeliveryRefusedError: Something does not, or the images are not at hand to tell.
            InvalidInputError: It is not one whole set of results of one study.
        """
        try:
            with deviations():
                results = self._named(study_uid, refs)
                planes = tuple(self._planes(*series) for series in cited_series(results[SEGMENTATION]))
                if attributes:
                    planes = overlay_each(planes, attributes)
                compare(results, ImagesAtHand.of(planes, results[SEGMENTATION]))
        except InternalError as error:
            raise DeliveryRefusedError(
                "Results do not agree with the images at hand and are held back.",
                fix="Where images changed since, run the study again; else report this.",
                details=error.details,
            ) from error
        except PARSE_FAILURES as error:
            raise InvalidInputError("A result is damaged.", fix="Run the study again.") from error

    def _named(self, study_uid: str, refs: Sequence[InstanceRef]) -> dict[str, Dataset]:
        results: dict[str, Dataset] = {}
        for ref in refs:
            ds = read_header(ref.path)
            name = name_of(ds)
            if not name or name in results or ref.study_uid != study_uid:
                raise InvalidInputError(
                    "What is to be delivered is not one set of results of one study.",
                    fix="Deliver each set of results by itself.",
                )
            results[name] = ds
        missing = [name for name in USUAL if name not in results]
        if missing:
            raise InvalidInputError(f"Of the results, {', '.join(missing)} is missing.", fix="Deliver the whole set.")
        return results

    def _planes(self, study_uid: str, series_uid: str) -> Planes:
        planes = read_planes(self._find_images(study_uid, series_uid), self._limits)
        found = [one for one in planes if one.uid == series_uid]
        if len(found) != 1:
            raise DeliveryRefusedError(
                "The images that results were made from are not at hand, or form no volume any more.",
                fix="Send the study again, and run it anew.",
            )
        return found[0]
