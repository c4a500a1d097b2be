"""The last gate: results are compared with their sources and with each other before they leave."""

from service.encode.checks.checking import check_results, read_header
from service.encode.checks.faults import Fault, Finding

__all__ = ["Fault", "Finding", "check_results", "read_header"]
