"""Encode: a trust map becomes files in the geometry of the source images."""

from service.encode.encoding import ResultFile, encode, encode_objects
from service.extra_results import Extra

__all__ = ["Extra", "ResultFile", "encode", "encode_objects"]
