"""Files by which a peer and this gateway know each other."""

import re
import ssl
from pathlib import Path

from entrust.errors import InvalidInputError

_HEADER = re.compile(r"([A-Za-z0-9-]+)\s*:\s*([\x20-\x7e]+)")


def read_headers(path: Path | None) -> dict[str, str]:
    """Return the headers of a file with one ``Name: value`` a line; none without a file.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not a header. Its content is not quoted.
    """
    if path is None:
        return {}
    fix = "Name a file with one header a line, as Authorization: Bearer …"
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"A peer's file of headers cannot be read ({type(error).__name__}).", fix=fix) from None
    matches = [_HEADER.fullmatch(line) for line in lines]
    if not all(matches):
        raise InvalidInputError("A peer's file of headers has a line that is no header.", fix=fix)
    return {match[1].lower(): match[2] for match in matches if match}


def client_tls(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return how a peer's certificate is checked, and which of our own it is shown.

    Args:
        ca_file: Authorities in PEM that vouch for it; the public ones when not given.
        certificate_file: Our certificate chain in PEM, where the peer wants one.
        key_file: Its private key.

    Raises:
        InvalidInputError: A file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file, password="")
    except (OSError, ssl.SSLError) as error:
        raise InvalidInputError(
            f"A source's certificate files cannot be used ({type(error).__name__}).",
            fix="Name PEM files that this process may read; the key has no passphrase.",
        ) from None
    return context
