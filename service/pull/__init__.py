"""Studies that are fetched from a PACS: found by QIDO-RS or C-FIND, brought by WADO-RS, C-GET or C-MOVE."""

from service.pull.operations import Retrieval, Retrievals
from service.pull.retrieval import retrieve
from service.pull.source import Source
from service.pull.wanted import Failure, Found, Reason, Report, Wanted

__all__ = ["Failure", "Found", "Reason", "Report", "Retrieval", "Retrievals", "Source", "Wanted", "retrieve"]
