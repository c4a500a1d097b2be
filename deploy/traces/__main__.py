"""Trace one simulated study and print its tree: ``python -m deploy.traces``.

A gateway with its Triton is started, and a receiver of traces beside it; the study comes with a ``traceparent``, as
from a caller who traces, too.
"""

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import httpx
import typer

from deploy.prometheus.server import free_port, running
from deploy.traces.receiver import running_receiver
from deploy.traces.tree import draw
from training.datasets.phantoms.dicom import write_study, zip_study
from training.datasets.phantoms.limb import make_phantom

READY_SECONDS = 180.0
COLLECT_SECONDS = 30.0


def main(
    hypotheses: Annotated[int, typer.Option(min=1, help="K.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="S.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated patient.")] = 3,
) -> None:
    """Print the tree of one study's trace."""
    trace_id = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="entrust-traces-") as name, running_receiver() as receiver:
        folder = Path(name)
        write_study(make_phantom(seed), folder / "phantom")
        study = zip_study(folder / "phantom", folder / "phantom.zip").read_bytes()
        port = free_port()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ENTRUST_")} | {
            "ENTRUST_REST__PORT": str(port),
            "ENTRUST_RPC__ENABLED": "false",
            "ENTRUST_JOBS__WORK_FOLDER": str(folder / "work"),
            "ENTRUST_TRACES__ENDPOINT": receiver.endpoint,
        }
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "service", "serve"]
        with running(command, f"{url}/health/ready", folder / "log", READY_SECONDS, environment=environment):
            answer = httpx.post(
                f"{url}/v1/segmentations",
                params={"task": "oncology", "num_hypotheses": hypotheses, "num_steps": steps, "wait": "true"},
                content=study,
                headers={
                    "Content-Type": "application/zip",
                    "Accept": "application/json",
                    "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
                },
                timeout=600.0,
                trust_env=False,
            )
            answer.raise_for_status()
        # the gateway and its Triton have ended, and have sent what they had
        spans = receiver.wait_for(bool, trace_id=trace_id, timeout_seconds=COLLECT_SECONDS)
    typer.echo(draw(spans))


if __name__ == "__main__":
    typer.run(main)
