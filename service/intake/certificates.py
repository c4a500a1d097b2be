"""The certificate under which the faces are served, and who must show one."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from entrust.errors import InvalidInputError


@dataclass(frozen=True)
class Certificate:
    """Files in PEM.

    Attributes:
        chain: The certificate and what leads to its root.
        key: Its private key.
        client_ca: Authorities of clients' certificates; none where clients need none.
    """

    chain: Path
    key: Path
    client_ca: Path | None = None

    def server_context(self) -> ssl.SSLContext:
        """Return what a server needs that shakes hands by itself: TLS 1.2 or later (BCP 195).

        Raises:
            InvalidInputError: The files cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(context)
        return context

    def check(self) -> None:
        """See whether they can be read and belong together, before anything is started.

        Raises:
            InvalidInputError: They cannot, or do not.
        """
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.chain, self.key, password="")
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as error:
            raise InvalidInputError(
                f"The certificate or its key cannot be used ({type(error).__name__}).",
                fix="ENTRUST_TLS__… name PEM files that this process may read; the key has no passphrase.",
            ) from None
