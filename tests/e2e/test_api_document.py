"""Every command of docs/api.md works in the order in which it stands, and every field it names is there."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import httpx

from service.api.rest.parameters import FIELDS
from service.selection.loading import default_text
from service.settings import DELIMITER, PREFIX, Settings
from service.summary import Summary
from tests.factories.studies import dicom_zip, nifti_files
from tests.servers.gateway import RunningGateway

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text()


async def test_its_commands_work(gateway: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "study.zip").write_bytes(dicom_zip())
    (tmp_path / "rules.yaml").write_text(default_text())
    for name, content in nifti_files().values():
        (tmp_path / name).write_bytes(content)
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", script,
        cwd=tmp_path, env={"URL": str(gateway.base_url).rstrip("/"), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert b"event: succeeded" in told
    assert json.loads(told.splitlines()[-1])["type"] == "/problems/not-found"
    assert json.loads((tmp_path / "explanation.json").read_bytes())["task"] == "oncology"
    assert json.loads((tmp_path / "summary.json").read_bytes())["task"]["name"] == "oncology"
    assert (tmp_path / "results.zip").read_bytes().startswith(b"PK")
    assert (tmp_path / "segmentation.dcm").read_bytes()[128:132] == b"DICM"


async def test_its_grpc_client_works(gateway: RunningGateway, tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    (tmp_path / "client.py").write_text(program)
    (tmp_path / "study.zip").write_bytes(dicom_zip())
    (tmp_path / "broken.zip").write_bytes(dicom_zip()[:-500])

    async def run(study: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "client.py", study, gateway.rpc_address,
            cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await process.communicate()
        return process.returncode, out.decode(), errors.decode()

    status, told, errors = await run("study.zip")
    assert status == 0, errors
    assert "JOB_STATE_RUNNING sampling 2" in told
    assert told.splitlines()[-1].startswith("JOB_STATE_SUCCEEDED")
    assert (tmp_path / "segmentation.dcm").read_bytes()[128:132] == b"DICM"
    status, _, errors = await run("broken.zip")
    assert status == 1
    assert "INVALID_ARGUMENT: " in errors


def test_it_names_every_field_of_the_summary() -> None:
    def names(schema: dict[str, Any]) -> set[str]:
        models = [schema, *schema["$defs"].values()]
        return {name for model in models for name in model.get("properties", {})}

    assert {n for n in names(Summary.model_json_schema()) if f"`{n}`" not in DOCUMENT and f".{n}" not in DOCUMENT} <= {
        # named as fields[] or by their parent
        "segments", "modalities", "missing", "warnings", "regions", "causes", "conflict",
    }  # fmt: skip


def test_it_names_every_parameter_and_setting() -> None:
    for field in FIELDS:
        assert f"| `{field}` |" in DOCUMENT
    for group, field in Settings.model_fields.items():
        for name in field.annotation.model_fields:  # type: ignore[union-attr]
            assert f"`{PREFIX}{group.upper()}{DELIMITER}{name.upper()}`" in DOCUMENT
