"""Encode: a trust map becomes files in the geometry of the source images."""

from service.encode.encoding import ResultFile, encode
from service.extra_results import Extra

__all__ = ["Extra", "ResultFile", "encode"]
