"""Latency per sampling step: where the time of a diffusion step goes."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "$__rate_interval"
STEP, CALL = "entrust_sampling_step_duration_seconds", "entrust_triton_call_duration_seconds"
WINDOW = "15m"
"""For differences between the gateway's clock and Triton's: the two are scraped at different moments, and over a short
window the calls that end between them count for more than the transport."""
CALLS_PER_SECOND = f"sum by (model) (rate({CALL}_count[{WINDOW}]))"
CANARY_SECONDS = f"sum by (model) (rate(entrust_triton_canary_duration_seconds_sum[{WINDOW}]))"
CALL_SECONDS = f"sum by (model) (rate({CALL}_sum[{WINDOW}]))"


def _triton(what: str) -> str:
    """Return Triton's own time by model, in seconds for each second."""
    return f"sum by (model) (rate(nv_inference_{what}_duration_us[{WINDOW}])) / 1e6"


COMPUTE = " + ".join(f"{_triton(f'compute_{part}')}" for part in ("input", "infer", "output"))

STEPS = Dashboard(
    "entrust-steps",
    "EnTrust: latency per sampling step",
    "Triton has no histogram of latency; these are the gateway's own, beside Triton's counters of time.",
    (
        Row(
            "Steps",
            (
                Panel(
                    "Sampling steps by duration", "s",
                    (Query(f'sum by (le) (increase({STEP}_bucket{{task=~"$task"}}[{RATE}]))', "{{le}}"),),
                    "Each column is an interval, each cell the steps that took so long. A second band is a "
                    "second kind of step: another grid, a cold model, a neighbour on the machine.", "heatmap", 12,
                ),
                Panel(
                    "Step by task and engine", "s",
                    tuple(
                        Query(
                            f"histogram_quantile({q}, sum by (le, task, sampler, precision) "
                            f'(rate({STEP}_bucket{{task=~"$task"}}[{RATE}])))',
                            f"{{{{task}}}} {{{{sampler}}}} {{{{precision}}}} p{q * 100:g}",
                        )
                        for q in (0.5, 0.95, 0.99)
                    ),
                    "Over one chunk of slices: the call to Triton and the update.", width=12,
                ),
                Panel(
                    "Mean step by index", "s",
                    (Query(
                        f'sum by (step_index) (rate(entrust_sampling_steps_seconds_total{{task=~"$task"}}[{RATE}])) / '
                        f'sum by (step_index) (rate(entrust_sampling_steps_total{{task=~"$task"}}[{RATE}]))',
                        "step {{step_index}}",
                    ),),
                    "Every step costs the same work. A slow first one means that a model was warmed up by a caller.",
                    width=12,
                ),
                Panel(
                    "Steps by task", "ops",
                    (Query(
                        f'sum by (task) (rate(entrust_sampling_steps_total{{task=~"$task"}}[{RATE}]))', "{{task}}"
                    ),),
                    "Throughput of the loop.", width=12,
                ),
            ),
        ),
        Row(
            "Where a call's time goes (over 15 minutes)",
            (
                Panel(
                    "Triton's queue, per call", "s",
                    (Query(f"{_triton('queue')} / {CALLS_PER_SECOND}", "{{model}}"),),
                    "Waiting inside Triton for a free instance. It grows first when there are too few instances.",
                ),
                Panel(
                    "Triton's compute, per call", "s",
                    (Query(f"({COMPUTE}) / {CALLS_PER_SECOND}", "{{model}}"),),
                    "Input, inference and output as Triton counts them.",
                ),
                Panel(
                    "Transport, per call", "s",
                    (Query(
                        f"clamp_min({CALL_SECONDS} + {CANARY_SECONDS} - ({_triton('queue')} + {COMPUTE}), 0) / "
                        f"{CALLS_PER_SECOND}",
                        "{{model}}",
                    ),),
                    "What the gateway waits beyond Triton's queue and compute: gRPC, shared memory, scheduling. "
                    "Canaries are taken out, but for their own transport: read it for what is called often.",
                ),
                Panel(
                    "Call as the gateway sees it", "s",
                    tuple(
                        Query(f"histogram_quantile({q}, sum by (le, model) (rate({CALL}_bucket[{RATE}])))",
                              f"{{{{model}}}} p{q * 100:g}")
                        for q in (0.5, 0.95)
                    ),
                    "By model.", width=12,
                ),
                Panel(
                    "Tensor bytes", "Bps",
                    (Query(
                        f"sum by (model, direction) (rate(entrust_triton_payload_bytes_total[{RATE}]))",
                        "{{model}} {{direction}}",
                    ),),
                    "Through shared memory or over the wire.", width=12,
                ),
            ),
        ),
    ),
    span="now-3h",
)  # fmt: skip
