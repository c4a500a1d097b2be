"""Files by which a source, or a task manager, and this gateway know each other."""

import ssl
from pathlib import Path

from service import credentials


def read_headers(path: Path | None) -> dict[str, str]:
    """Return the headers of a file with one ``Name: value`` a line; none without a file.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not a header. Its content is not quoted.
    """
    fix = "Name a file with one header a line, as Authorization: Bearer …"
    return credentials.read_headers(path, file="A peer's file of headers", fix=fix)


def client_tls(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return how a peer's certificate is checked, and which of our own it is shown.

    Args:
        ca_file: Authorities in PEM that vouch for it; the public ones when not given.
        certificate_file: Our certificate chain in PEM, where the peer wants one.
        key_file: Its private key.

    Raises:
        InvalidInputError: A file cannot be used.
    """
    return credentials.client_context(
        ca_file,
        certificate_file,
        key_file,
        refusal="A source's certificate files cannot be used",
        fix="Name PEM files that this process may read; the key has no passphrase.",
    )
