"""The DICOMweb face (PS3.18): instances come in by STOW-RS, are found by QIDO-RS, and go out by WADO-RS."""

from service.api.dicomweb.application import create_router

__all__ = ["create_router"]
