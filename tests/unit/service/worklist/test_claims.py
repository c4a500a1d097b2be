"""A claim is on the disk before the task manager hears of it, and one performer has the folder."""

from pathlib import Path

import pytest

from entrust.errors import ConflictError, InternalError
from service.worklist.claims import Claim, Claims


def test_claims_outlive_their_performer(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claims.keep(Claim("1.2", "2.25.1"))
    claims.keep(Claim("1.3", "2.25.2"))
    claims.keep(Claim("1.2", "2.25.1", attempts=2))
    claims.forget("1.3")
    claims.forget("1.9")
    claims.close()
    again = Claims(tmp_path)
    assert again.all() == [Claim("1.2", "2.25.1", attempts=2)]
    again.close()


def test_names_of_files_say_nothing(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    claims.keep(Claim("1.2.840.99", "2.25.1"))
    assert not [path for path in (tmp_path / "claims").iterdir() if "840" in path.name]
    assert (tmp_path / "claims").stat().st_mode & 0o077 == 0
    claims.close()


def test_a_claim_that_was_not_written_to_its_end_was_never_made(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    (tmp_path / "0123.new").write_text('{"workitem_uid": "1.')
    assert claims.all() == []
    claims.close()


def test_the_folder_has_one_performer(tmp_path: Path) -> None:
    first = Claims(tmp_path)
    with pytest.raises(ConflictError):
        Claims(tmp_path)
    first.close()
    Claims(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InternalError):
        Claims(tmp_path / "file")
