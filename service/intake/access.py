"""Who may ask: callers who bring a token that this gateway knows, or everybody where it knows none."""

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from entrust.errors import InvalidInputError, UnauthenticatedError

FIX = "Send the header Authorization: Bearer <token>; the operator gives tokens."
MIN_TOKEN_CHARACTERS = 16


def read_tokens(path: Path | None) -> list[str]:
    """Return the tokens of a file, one a line; none where there is no file.

    Raises:
        InvalidInputError: The file cannot be read, holds no token, or one that is too short to be a secret.
    """
    if path is None:
        return []
    try:
        tokens = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"The file of tokens cannot be read ({type(error).__name__}).", fix="See ENTRUST_AUTH__TOKEN_FILE."
        ) from None
    if not tokens or min(map(len, tokens)) < MIN_TOKEN_CHARACTERS:  # an empty file must not open the door
        raise InvalidInputError(
            "The file of tokens holds none, or one that is too short.",
            fix=f"Write one token a line, each of {MIN_TOKEN_CHARACTERS} characters or more.",
        )
    return tokens


class Access:
    """Checks callers' tokens.

    Args:
        tokens: Those that are known; none lets everybody in.
    """

    def __init__(self, tokens: Sequence[str] = ()) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]

    @property
    def required(self) -> bool:
        """Whether a token is needed."""
        return bool(self._digests)

    def check(self, authorization: str | None) -> None:
        """Let a caller pass.

        Args:
            authorization: Value of the caller's Authorization header.

        Raises:
            UnauthenticatedError: No token came, or one that is not known.
        """
        if not self._digests:
            return
        scheme, _, token = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthenticatedError("A token is needed.", fix=FIX)
        sent = _digest(token.strip().encode())
        # Every known token is compared, each in constant time: the time taken tells nothing.
        if not sum(hmac.compare_digest(sent, known) for known in self._digests):
            raise UnauthenticatedError("The token is not known here.", fix=FIX)


def caller_name(authorization: str | None) -> str:
    """Return what stands for a caller's token in the audit trail: the same for the same token, and useless as one."""
    _, _, token = (authorization or "").strip().partition(" ")
    return f"token-{_digest(token.strip().encode()).hex()[:8]}" if token.strip() else ""


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
