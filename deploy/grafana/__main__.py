"""Write every dashboard's JSON: ``python -m deploy.grafana``."""

from pathlib import Path

from deploy.grafana.jobs import JOBS
from deploy.grafana.overview import OVERVIEW
from deploy.grafana.panels import to_json
from deploy.grafana.steps import STEPS
from deploy.grafana.triton import TRITON
from deploy.grafana.trust import TRUST

FOLDER = Path(__file__).with_name("dashboards")
DASHBOARDS = (OVERVIEW, STEPS, TRITON, JOBS, TRUST)


def files() -> dict[str, str]:
    """Return the content of every file by its name."""
    return {f"{page.uid}.json": to_json(page) for page in DASHBOARDS}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
