"""Load goes to this machine alone, unless somebody says that the other one is theirs."""

import ipaddress
import socket


class ForeignHostError(ValueError):
    """The address is not of this machine, and nobody said that it may be loaded."""


def require_permission(host: str, *, owned: bool) -> None:
    """Refuse to load another machine by mistake.

    Args:
        host: Name or address, without scheme and port.
        owned: Whether the caller said that the host may be loaded.

    Raises:
        ForeignHostError: It is not a loopback address, and ``owned`` is false.
    """
    if owned:
        return
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        addresses = set()
    if not addresses or not all(ipaddress.ip_address(str(a).split("%")[0]).is_loopback for a in addresses):
        raise ForeignHostError(f"{host} is not this machine; --i-own-this-host says that you may load it.")
