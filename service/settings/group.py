"""What groups of settings have in common."""

from pydantic import BaseModel, ConfigDict

MEBIBYTE = 1024 * 1024
AE_TITLE = r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?"
"""Printable characters without a backslash, 16 at most, no space at the ends (PS3.5 6.2, AE)."""


class Group(BaseModel):
    """A frozen group of settings in which an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
