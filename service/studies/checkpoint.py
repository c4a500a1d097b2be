"""The answer of the networks on disk, from which the files are written after an interruption."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from entrust.contract import ModelCard
from entrust.trustmap import TrustMap
from service.archive.files import sync
from service.pipeline import Inferred
from service.study import Case
from service.summary import Provenance, Summary

_ARRAYS, _FACTS, _SUMMARY = "trust_map.npz", "facts.json", "summary.json"
_ATTRIBUTION = "attribution."


def save(inferred: Inferred, folder: Path) -> None:
    """Write all but the case, which can be read from the study again; when this returns the disk holds it.

    Args:
        inferred: The answer.
        folder: Where to; another answer there is replaced.
    """
    trust_map = inferred.trust_map
    values = {field.name: getattr(trust_map, field.name) for field in fields(trust_map)}
    attribution: Mapping[str, Any] = values.pop("attribution")
    arrays = values | {f"{_ATTRIBUTION}{slug}": shift for slug, shift in attribution.items()}
    with replaced(folder) as partial:
        np.savez(partial / _ARRAYS, allow_pickle=False, **arrays)
        facts = {"card": inferred.card.parameters(), "provenance": asdict(inferred.provenance)}
        (partial / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        (partial / _SUMMARY).write_bytes(inferred.summary.to_json())


def load(folder: Path, case: Case) -> Inferred:
    """Read what :func:`save` wrote.

    Args:
        folder: Where it lies.
        case: The study, prepared as it was then.
    """
    with np.load(folder / _ARRAYS, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    attribution = {
        name.removeprefix(_ATTRIBUTION): arrays.pop(name) for name in list(arrays) if name.startswith(_ATTRIBUTION)
    }
    agreement = float(arrays.pop("agreement"))
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    return Inferred(
        case=case,
        trust_map=TrustMap(attribution=attribution, agreement=agreement, **arrays),
        summary=Summary.model_validate_json((folder / _SUMMARY).read_bytes()),
        card=ModelCard.from_parameters(facts["card"]),
        provenance=Provenance(**facts["provenance"]),
    )


@contextlib.contextmanager
def replaced(folder: Path, *, files_are_kept: bool = False) -> Iterator[Path]:
    """Give an empty folder that takes the place of another when the block ends well: whole, or not at all.

    Args:
        folder: The place.
        files_are_kept: Whether the disk holds the content of the files already: links, for instance.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    try:
        yield partial
        for path in () if files_are_kept else partial.iterdir():
            sync(path)
        sync(partial)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(partial, folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
