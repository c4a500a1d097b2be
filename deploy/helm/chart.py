"""``python -m deploy.helm.chart``: write what the chart takes from elsewhere in this repository.

Committed, with a test that they are current: ``values.schema.json`` (from the gateway's settings) and
``files/canaries.json`` (from the contract). Not committed, because they would be copies: dashboards and alert rules.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.helm.values import Values
from entrust.contract import TASKS
from service.settings import DELIMITER, PREFIX, Settings
from service.triton.canary import task_canaries

DEPLOY = Path(__file__).resolve().parents[1]
CHART = Path(__file__).resolve().parent / "entrust"
SCHEMA = CHART / "values.schema.json"
CANARIES = CHART / "files" / "canaries.json"

OWNED = {
    "rest": {"host", "port"},
    "rpc": {"enabled", "host", "port"},
    "triton": {"url", "shared_memory", "repository", "tasks", "home", "start_timeout_seconds"},
    "jobs": {"work_folder", "results_folder"},
    "archive": {"folder"},
    "dimse": {"enabled", "host", "port"},
    "traces": {"instance"},
}
"""Settings that the chart decides: addresses, folders, the name of the pod, and what only an embedded Triton has."""

Schema = dict[str, Any]


def settings_schema() -> tuple[Schema, list[str]]:
    """Return the schema of the block ``settings``, and the variables that only a Secret may set."""
    schema = _plain(Settings.model_json_schema())
    definitions: dict[str, Schema] = schema.pop("$defs", {})
    secrets: list[str] = []
    for group, reference in list(schema["properties"].items()):
        definition = _resolved(reference, definitions)
        properties: dict[str, Schema] = definition.get("properties", {})
        for name in OWNED.get(group, ()):
            properties.pop(name, None)
        for name, field in list(properties.items()):
            if _is_secret(field):  # its value may not stand in a file of values
                del properties[name]
                secrets.append(f"{PREFIX}{group}{DELIMITER}{name}".upper())
        schema["properties"][group] = definition
    return schema | {"$defs": definitions}, sorted(secrets)


def values_schema() -> Schema:
    """Return the schema of all values."""
    schema = _plain(Values.model_json_schema())
    settings, secrets = settings_schema()
    schema["$defs"] |= settings.pop("$defs")
    schema["properties"]["settings"] = settings | {"description": "The gateway's settings; docs/api.md explains them."}
    schema["properties"]["global"] = {"type": "object", "description": "Helm's own."}
    if secrets:
        schema["$defs"]["SecretSetting"]["properties"]["setting"]["examples"] = secrets
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "EnTrust Serve"} | schema


def canaries() -> dict[str, dict[str, list[int]]]:
    """Return the smallest inputs that each served model takes: shapes by model and tensor."""
    return {
        model: {name: list(tensor.shape) for name, tensor in canary.inputs.items()}
        for task in TASKS.values()
        for model, canary in task_canaries(task).items()
    }


def committed() -> dict[Path, str]:
    """Return the content of the generated files that are committed."""
    lines = ",\n".join(f"  {json.dumps(model)}: {json.dumps(shapes)}" for model, shapes in canaries().items())
    schema = json.dumps(values_schema(), indent=2, ensure_ascii=False)
    return {SCHEMA: f"{schema}\n", CANARIES: f"{{\n{lines}\n}}\n"}


def copy_monitoring(deploy: Path = DEPLOY, chart: Path = CHART) -> list[Path]:
    """Copy dashboards and alert rules into the chart, and remove what is no longer there.

    Args:
        deploy: The folder with ``grafana/`` and ``prometheus/``; either may be missing.
        chart: The chart.

    Returns:
        What was written.
    """
    written = []
    for kind, sources in (("dashboards", _dashboards(deploy)), ("rules", _rules(deploy))):
        folder = chart / "files" / kind
        shutil.rmtree(folder, ignore_errors=True)
        for source in sources:
            folder.mkdir(parents=True, exist_ok=True)
            written.append(shutil.copyfile(source, folder / source.name))
    return written


def _dashboards(deploy: Path) -> Iterator[Path]:
    """Yield the files that are dashboards: they have panels."""
    for path in sorted(deploy.glob("grafana/**/*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "panels" in content:
            yield path


def _rules(deploy: Path) -> Iterator[Path]:
    """Yield the files that hold groups of rules; tests of rules and Prometheus' configuration are others."""
    for path in sorted((*deploy.glob("prometheus/**/*.yml"), *deploy.glob("prometheus/**/*.yaml"))):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "groups" in content:
            yield path


def _plain(schema: Schema) -> Schema:
    """Drop titles, which only repeat names, and of each description all but the first paragraph."""

    def walk(node: Any, *, names: bool = False) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        kept = {key: walk(value, names=key in ("properties", "$defs") and not names) for key, value in node.items()}
        if not names:
            kept.pop("title", None)
            if isinstance(kept.get("description"), str):
                kept["description"] = kept["description"].split("\n\n")[0].replace("\n", " ")
        return kept

    walked: Schema = walk(schema)
    return walked


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace the reference to a group by the group."""
    references = [schema.get("$ref"), *(part.get("$ref") for part in schema.get("allOf", ()))]
    for reference in filter(None, references):
        return definitions.pop(str(reference).rsplit("/", 1)[-1])
    return schema


def _is_secret(schema: Schema) -> bool:
    """Return whether a field is a secret, or an optional one."""
    return any(part.get("writeOnly") or part.get("format") == "password" for part in (schema, *schema.get("anyOf", ())))


def main() -> None:
    """Write everything."""
    for path, text in committed().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(DEPLOY)}")
    for path in copy_monitoring():
        print(f"copied {path.relative_to(DEPLOY)}")


if __name__ == "__main__":
    main()
