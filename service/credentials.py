"""Files by which a peer and this gateway know each other: certificates in PEM, headers and other secrets.

Who calls says in its own words what cannot be used and how that is put right. What is in a file is never quoted.
"""

import re
import ssl
from pathlib import Path

from entrust.errors import InvalidInputError

_HEADER = re.compile(r"([A-Za-z0-9-]+)\s*:\s*([\x20-\x7e]+)")


def client_context(
    ca_file: Path | None, certificate_file: Path | None, key_file: Path | None, *, refusal: str, fix: str
) -> ssl.SSLContext:
    """Return what a client needs to shake hands: TLS 1.2 or later (BCP 195).

    Args:
        ca_file: Authorities in PEM that vouch for the peer; the public ones when not given.
        certificate_file: Our certificate chain in PEM, where the peer wants one.
        key_file: Its private key in PEM, without a passphrase.
        refusal: What to say of files that cannot be used, without a full stop.
        fix: What to do then.

    Raises:
        InvalidInputError: A file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file, password="")
    except (OSError, ssl.SSLError) as error:
        raise InvalidInputError(f"{refusal} ({type(error).__name__}).", fix=fix) from None
    return context


def read_secret(path: Path, *, refusal: str, fix: str) -> str:
    """Return the text of a file, without space around it.

    Args:
        path: The file, in UTF-8.
        refusal: What to say of a file that cannot be read, without a full stop.
        fix: What to do then.

    Raises:
        InvalidInputError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{refusal} ({type(error).__name__}).", fix=fix) from None


def read_headers(path: Path | None, *, file: str, fix: str, excluded: str = "") -> dict[str, str]:
    """Return the headers of a file with one ``Name: value`` a line, names in lower case; none without a file.

    Args:
        path: The file.
        file: What it is, at the beginning of a sentence.
        fix: What to do when it cannot be used.
        excluded: Characters that no value may hold.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not a header.
    """
    if path is None:
        return {}
    headers = {}
    for line in read_secret(path, refusal=f"{file} cannot be read", fix=fix).splitlines():
        match = _HEADER.fullmatch(line.strip())
        if match is not None and not set(excluded).intersection(match[2]):
            headers[match[1].lower()] = match[2]
        elif line.strip():
            raise InvalidInputError(f"{file} has a line that is no header.", fix=fix)
    return headers
