"""Writes the Python of ``proto/`` (``make proto``): messages, their types, and the service. Needs the extra ``dev``.

protoc names modules after the proto's package, and ``entrust.v1`` would lie inside the package of the method, where
no protocol belongs. So the files go to ``service.api.rpc.v1``, and the one import among them is written accordingly;
the proto keeps the name under which clients of every language know it.
"""

import argparse
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
PROTO = "entrust/v1/segmentation.proto"
OUT = ROOT.parent / "service" / "api" / "rpc" / "v1"
PACKAGE = "service.api.rpc.v1"


def generate(out: Path) -> None:
    """Write the generated files into a folder.

    Raises:
        RuntimeError: protoc refused.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        status = protoc.main(["protoc", f"-I{ROOT}", f"-I{files('grpc_tools') / '_proto'}", *outputs, PROTO])
        if status:
            raise RuntimeError(f"protoc ended with {status}")
        out.mkdir(parents=True, exist_ok=True)
        for file in (Path(folder) / PROTO).parent.iterdir():
            text = file.read_text().replace("from entrust.v1 import", f"from {PACKAGE} import")
            (out / file.name).write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Python of proto/.")
    parser.add_argument("--out", type=Path, default=OUT)
    generate(parser.parse_args().out)
