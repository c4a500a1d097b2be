"""Instances that came in or were made here: raw files on disk are the truth, an index beside them answers searches."""

from service.archive.archive import Archive, Stored
from service.archive.entry import Entry
from service.archive.levels import Level
from service.archive.query import Query
from service.archive.space import Watermark

__all__ = ["Archive", "Entry", "Level", "Query", "Stored", "Watermark"]
