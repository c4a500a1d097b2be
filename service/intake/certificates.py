"""The certificate under which both faces are served, and who must show one."""

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

    def check(self) -> None:
        """See whether they can be read and belong together, before anything is started.

        Raises:
            InvalidInputError: They cannot, or do not.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.chain, self.key, password="")
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInputError(
                f"The certificate or its key cannot be used ({type(error).__name__}).",
                fix="ENTRUST_TLS__… name PEM files that this process may read; the key has no passphrase.",
            ) from None
