"""The last gate: results are compared with their sources and with each other before they leave."""

from service.encode.checks.checking import USUAL, check_results, compare, read_header
from service.encode.checks.faults import Fault, Finding
from service.encode.checks.ground import SEGMENTATION, ImagesAtHand, cited_series, name_of

__all__ = [
    "SEGMENTATION",
    "USUAL",
    "Fault",
    "Finding",
    "ImagesAtHand",
    "check_results",
    "cited_series",
    "compare",
    "name_of",
    "read_header",
]
