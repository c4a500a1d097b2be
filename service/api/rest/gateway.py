"""The service behind the HTTP face, as a parameter of its operations."""

from typing import Annotated

from fastapi import Depends, Request

from service.intake.gateway import Gateway


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Behind = Annotated[Gateway, Depends(_gateway)]
"""The service, as a parameter of an operation."""
