"""Encode: a trust map becomes files in the geometry of the source images."""

from service.encode.encoding import ResultFile, encode

__all__ = ["ResultFile", "encode"]
