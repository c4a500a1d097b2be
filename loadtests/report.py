"""Tables, pictures and rows of one run: ``python -m loadtests.report out/load/results.json``."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from loadtests.claims import Claim, claims, summary_of
from loadtests.offered_load import LoadStage
from loadtests.plots import WAYS, draw
from loadtests.results import Results

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- load: written by `make load` -->", "<!-- load: end -->"
STAGE_ORDER = ("ingest", "prepare", "inference", "sampling step", "trust", "encode")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(results: Results, pictures: str) -> str:
    """Return the section of a document.

    Args:
        results: The run.
        pictures: Path of the pictures' folder as the document sees it.
    """
    return "\n\n".join(_parts(results, pictures)) + "\n"


def _parts(results: Results, pictures: str) -> Iterator[str]:
    yield f"`{results.command}` on {results.machine}. Rows for programs: [load.json](benchmarks/load.json)."
    yield table(
        ("what is promised", "measured", "95 % interval, or range", "at most", "kept"), map(_claim, claims(results))
    )
    yield f"**Sampling steps.** {results.steps_study}, {results.steps.rounds} times each way in turn. " + (
        "Quantiles of a step from Prometheus, as the dashboards ask for them."
        if results.steps.quantiles_seconds
        else "No Prometheus was installed: no quantiles of single steps."
    )
    yield table(("way", "whole loop, s", "step p50, ms", "p95", "p99", "mean of each step, ms"), _ways(results))
    yield f"![The steps]({pictures}/load-steps.png)"
    yield (
        f"**Offered load.** Poisson arrivals over HTTP and gRPC of small, medium and large studies with 1 to 4 "
        f"hypotheses and 1 to 4 steps, some urgent, some taken back, some that must be refused; at most "
        f"{results.room} jobs wait or run. Seconds from request to results, of accepted studies. Capacity: "
        f"{results.capacity:.2f} jobs a second."
    )
    yield table(
        ("offered, jobs/s", "of capacity", "jobs", "answered/s", "refused", "p50, s", "p95, s", "p99, s"),
        (_load(stage, results) for stage in results.stages),
    )
    yield f"![Throughput and latency]({pictures}/load-throughput.png)"
    rows = list(_stages(results))
    if rows:
        yield (
            "Seconds by stage of a study, p50 / p95 / p99, from Prometheus' histograms (interpolated within buckets):"
        )
        yield table(("offered, of capacity", *STAGE_ORDER), rows)
    yield "How visits ended, all loads together:"
    yield table(("visit", "ended with", "times", "as it should"), _ends(results))
    yield f"![Memory]({pictures}/load-memory.png)"
    if results.kills:
        yield "**Kills** under a light load; a small study with one step is sent again until it is answered."
        yield table(
            (
                "killed",
                "sent after, s",
                "answered after, s",
                "undisturbed, s",
                "results kept / gone",
                "same mask again",
            ),
            _kills(results),
        )


def _claim(claim: Claim) -> tuple[str, ...]:
    kept = {None: "", True: "yes", False: "**no**"}[claim.met]
    span = "" if claim.low == claim.high else f"{claim.low:.3g} to {claim.high:.3g}"
    return claim.claim, f"{claim.value:.3g}", span, "" if claim.bar is None else f"{claim.bar:g}", kept


def _ways(results: Results) -> Iterator[tuple[str, ...]]:
    for way, words in WAYS.items():
        quantiles, means = results.steps.quantiles_seconds.get(way, {}), results.steps.mean_seconds.get(way, {})
        in_order = sorted(means, key=lambda index: int(index.rstrip("+")))
        yield (
            words, f"{results.steps.loop_seconds[way]:.3f}",
            *(f"{1e3 * quantiles[q]:.0f}" if q in quantiles else "–" for q in ("p50", "p95", "p99")),
            ", ".join(f"{1e3 * means[index]:.0f}" for index in in_order) or "–",
        )  # fmt: skip


def _load(stage: LoadStage, results: Results) -> tuple[str, ...]:
    refused = sum(record.refused_for_load for record in stage.jobs)
    of_capacity = f"{stage.offered / results.capacity:.2f}" + (" (finds the capacity)" * (stage.name == "saturation"))
    return (
        f"{stage.offered:.2f}", of_capacity, str(len(stage.jobs)), f"{stage.throughput:.2f}", str(refused),
        *summary_of(stage.waits_seconds).split(" | "),
    )  # fmt: skip


def _stages(results: Results) -> Iterator[tuple[str, ...]]:
    for stage in results.stages:
        if stage.stages_seconds:
            cells = (stage.stages_seconds.get(name, {}) for name in STAGE_ORDER)
            yield (
                f"{stage.offered / results.capacity:.2f}",
                *(" / ".join(f"{v:.2g}" for v in cell.values()) or "–" for cell in cells),
            )


def _ends(results: Results) -> Iterator[tuple[str, ...]]:
    visits = [record for stage in results.stages for record in stage.records]
    counted = Counter((r.kind, r.case if r.kind == "refusal" else "", r.outcome, r.expected) for r in visits)
    for (kind, case, outcome, expected), times in sorted(counted.items()):
        yield f"{kind} {case}".strip(), f"`{outcome}`", str(times), "yes" if expected else "**no**"


def _kills(results: Results) -> Iterator[tuple[str, ...]]:
    for target, run in results.kills.items():
        for kill in run.kills:
            seconds = (kill.sent_after_seconds, kill.answered_after_seconds, kill.undisturbed_seconds)
            same = "yes" if kill.same_answer else "**no**"
            yield target, *(f"{value:.2f}" for value in seconds), f"{kill.kept} / {kill.lost}", same


def put_between(document: str, section: str) -> str:
    """Return a document with a section between its two marks; what was there before is gone.

    Raises:
        ValueError: It does not have both marks, once each and in order.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError("the document needs the two marks of the load's section, once each and in order")
    return f"{before}{BEGIN}\n\n{section}\n{END}{after}"


def write(results: Results, documents: Path) -> None:
    """Write pictures, rows, and the section of ``benchmarks.md``, into a folder of documents."""
    draw(results, documents / "images")
    rows = documents / "benchmarks" / "load.json"
    rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_text(json.dumps([asdict(claim) for claim in claims(results)], indent=2) + "\n", encoding="utf-8")
    page = documents / "benchmarks.md"
    text = page.read_text(encoding="utf-8") if page.exists() else f"# Load\n\n{BEGIN}\n{END}\n"
    page.write_text(put_between(text, markdown(results, "images")), encoding="utf-8")


def main(
    results: Annotated[Path, typer.Argument(help="What a run wrote.")] = ROOT / "out" / "load" / "results.json",
    documents: Annotated[Path, typer.Option(help="Folder of the documents that are written.")] = ROOT / "docs",
) -> None:
    """Write the report of a run."""
    write(Results.load(results), documents)


if __name__ == "__main__":
    typer.run(main)
