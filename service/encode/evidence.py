"""Instances that a report rests on, named with study and series."""

from collections.abc import Iterable, Iterator
from copy import deepcopy

from pydicom.dataset import Dataset

from service.encode.objects import Origin


def evidence_of(origin: Origin, results: Iterable[Dataset]) -> list[Dataset]:
    """Return every source image and the given results as the little that a report needs to know of each.

    Args:
        origin: Gives the source series.
        results: Objects of the same result.

    Returns:
        One dataset with its class, instance, series and study per instance. The first one stands for patient and study,
        too, with placeholders for what is copied verbatim at the end.
    """
    items = [*_sources(origin), *(_item(ds.SOPClassUID, ds.SOPInstanceUID, *_place(ds)) for ds in results)]
    first = deepcopy(origin.shells[0])
    first.update(items[0])
    return [first, *items[1:]]


def _sources(origin: Origin) -> Iterator[Dataset]:
    for source in origin.sources:
        for instance_uid, class_uid in source.instances.items():
            yield _item(class_uid, instance_uid, source.series_uid, source.study_uid)


def _place(ds: Dataset) -> tuple[str, str]:
    return ds.SeriesInstanceUID, ds.StudyInstanceUID


def _item(class_uid: str, instance_uid: str, series_uid: str, study_uid: str) -> Dataset:
    item = Dataset()
    item.SOPClassUID, item.SOPInstanceUID = class_uid, instance_uid
    item.SeriesInstanceUID, item.StudyInstanceUID = series_uid, study_uid
    return item
