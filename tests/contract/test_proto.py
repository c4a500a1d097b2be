"""The generated code is current, the proto is in style, and clients built from the released one still work."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "service" / "api" / "rpc" / "v1"
BUF = Path(sys.executable).parent / "buf"


def run_buf(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate_proto", ROOT / "proto" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.generate(tmp_path)
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert len(fresh) == 3
    assert fresh == {path.name: path.read_text() for path in GENERATED.glob("*_pb2*")}, "run make proto"


def test_the_proto_is_in_style_and_breaks_no_client() -> None:
    for arguments in (("lint",), ("format", "--diff", "--exit-code"), ("breaking", "--against", "proto/released.json")):
        done = run_buf(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  uint32 step = 2;", "  uint32 step = 7;"),
        ("  rpc GetJob(", "  rpc ReadJob("),
        ("  bool ready = 3;", "  string ready = 3;"),
    ],
    ids=["another number", "another name of a method", "another type"],
)  # fmt: skip
def test_a_change_that_breaks_clients_is_found(tmp_path: Path, old: str, new: str) -> None:
    text = (ROOT / "proto" / "entrust" / "v1" / "segmentation.proto").read_text()
    assert old in text
    folder = tmp_path / "proto" / "entrust" / "v1"
    folder.mkdir(parents=True)
    (folder / "segmentation.proto").write_text(text.replace(old, new))
    (tmp_path / "buf.yaml").write_text((ROOT / "buf.yaml").read_text())
    done = run_buf("breaking", "--against", str(ROOT / "proto" / "released.json"), folder=tmp_path)
    assert done.returncode == 100, done.stdout + done.stderr
