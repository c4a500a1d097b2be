"""What a DICOMweb client takes: media ranges with the parameters ``type`` and ``transfer-syntax`` (PS3.18 8.7.4)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

MULTIPART = "multipart/related"
ANY_SYNTAX = "*"
_PIECE = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')


@dataclass(frozen=True)
class MediaRange:
    """One range.

    Attributes:
        multipart: Whether the parts of a multipart message are spoken of.
        media_type: Media type of the content, of each part where multipart; may hold ``*``.
        transfer_syntax_uid: Transfer syntax that is asked for; ``*`` for the stored one, empty for the default.
    """

    multipart: bool
    media_type: str
    transfer_syntax_uid: str

    def matches(self, media_type: str) -> bool:
        """Tell whether the range holds a media type."""
        main, _, sub = self.media_type.partition("/")
        return main in ("*", media_type.partition("/")[0]) and sub in ("*", media_type.partition("/")[2])


def accepted(request: Request) -> list[MediaRange]:
    """Return what a request takes, best first; the query parameter ``accept`` goes before the header.

    Nothing at all means everything.
    """
    text = request.query_params.get("accept") or request.headers.get("accept", "")
    found: list[tuple[float, MediaRange]] = []
    for piece in _PIECE.findall(text):
        raw, options = parse_options_header(piece.strip())
        media_type = raw.decode("latin-1").lower()
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in options.items()}
        try:
            quality = float(named.get("q", "1"))
        except ValueError:
            continue
        if media_type.count("/") != 1 or not 0.0 < quality <= 1.0:
            continue
        multipart = media_type == MULTIPART
        inner = named.get("type", "*/*").lower() if multipart else media_type
        found.append((quality, MediaRange(multipart, inner, named.get("transfer-syntax", ""))))
    ranges = [one for _, one in sorted(found, key=lambda pair: -pair[0])]
    return ranges if text.strip() else [MediaRange(True, "*/*", "")]


def picture_type(request: Request, offered: Sequence[str]) -> str | None:
    """Return the offered picture type that a request likes best."""
    for one in accepted(request):
        for media_type in offered:
            if one.matches(media_type):
                return media_type
    return None
