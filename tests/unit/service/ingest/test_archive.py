import stat
import zipfile
from pathlib import Path

import pytest

from entrust.errors import EnTrustError, InvalidInputError, TooLargeError, UnsupportedMediaError
from service.ingest import IngestLimits, extract_zip


def _zip(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return path


def _unpack(tmp_path: Path, archive: Path, limits: IngestLimits | None = None) -> list[Path]:
    folder = tmp_path / "out"
    folder.mkdir()
    extract_zip(archive, folder, limits or IngestLimits())
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_content_comes_out_once_per_entry_even_when_names_collide(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"x/image.dcm": b"one", "y/image.dcm": b"two", "z/": b""})
    assert [p.read_bytes() for p in _unpack(tmp_path, archive)] == [b"one", b"two"]


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:/evil", "a/..", "\\\\host\\evil"]
)
def test_paths_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="outside"):
        _unpack(tmp_path, _zip(tmp_path / "a.zip", {"good": b"1", name: b"2"}))
    assert not list((tmp_path / "out").iterdir()), "nothing may be written before all entries were checked"


def test_odd_names_become_harmless(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"Mü ller\n.dcm": b"1", ".hidden": b"2", "n" * 300 + ".nii.gz": b"3"})
    names = [p.name for p in _unpack(tmp_path, archive)]
    assert names[:2] == ["M__ller_.dcm", "hidden"]
    assert names[2].endswith("n.nii.gz")
    assert len(names[2]) <= 80


def test_links_are_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(InvalidInputError, match="link"):
        _unpack(tmp_path, archive)


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    data = bytearray(_zip(tmp_path / "plain.zip", {"a": b"secret"}).read_bytes())
    data[6] |= 1  # general purpose flag of the local header
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and of the central directory
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(InvalidInputError, match="encrypted"):
        _unpack(tmp_path, tmp_path / "a.zip")


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {"zeros": bytes(2 << 20)})
    limits = IngestLimits(ratio_exempt_bytes=1 << 20)
    with pytest.raises(TooLargeError, match="compressed beyond"):
        _unpack(tmp_path, archive, limits)
    (tmp_path / "out").rmdir()
    assert len(_unpack(tmp_path, archive)) == 1, "small archives may compress as well as they like"


def test_limits_on_files_and_bytes(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "a.zip", {str(i): bytes(100) for i in range(5)})
    for limits in (IngestLimits(max_files=4), IngestLimits(max_uncompressed_bytes=499)):
        with pytest.raises(TooLargeError):
            _unpack(tmp_path, archive, limits)
        (tmp_path / "out").rmdir()


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """The directory promises 10 bytes, the stream holds a megabyte: the promise is all that may be written."""
    data = bytearray(_zip(tmp_path / "honest.zip", {"a": bytes(1 << 20)}).read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(InvalidInputError, match="damaged"):
        _unpack(tmp_path, tmp_path / "a.zip")
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file()) <= 10


def test_damage_has_its_name(tmp_path: Path) -> None:
    good = _zip(tmp_path / "good.zip", {"a": b"x" * 1000}, zipfile.ZIP_STORED).read_bytes()
    flipped = bytearray(good)
    flipped[100] ^= 0xFF
    for number, data in enumerate((good[:-30], bytes(flipped), b"PK\x03\x04 nothing more")):
        archive = tmp_path / f"{number}.zip"
        archive.write_bytes(data)
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(InvalidInputError, match="damaged"):
            extract_zip(archive, tmp_path / "out", IngestLimits())
        for left in sorted((tmp_path / "out").rglob("*"), reverse=True):
            left.unlink() if left.is_file() else left.rmdir()


def test_unknown_compression_is_refused(tmp_path: Path) -> None:
    data = bytearray(_zip(tmp_path / "good.zip", {"a": b"x"}).read_bytes())
    data[8] = 99
    data[data.index(b"PK\x01\x02") + 10] = 99
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UnsupportedMediaError):
        _unpack(tmp_path, tmp_path / "a.zip")


def test_messages_do_not_repeat_names(tmp_path: Path) -> None:
    with pytest.raises(EnTrustError) as raised:
        _unpack(tmp_path, _zip(tmp_path / "a.zip", {"../Doe^John.dcm": b"1"}))
    assert "Doe" not in str(raised.value)
