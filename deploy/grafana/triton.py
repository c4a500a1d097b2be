"""Triton: executions, batch sizes, failures, and how the gateway keeps the embedded one alive."""

from deploy.grafana.panels import Dashboard, Panel, Query, Row

RATE = "$__rate_interval"

TRITON = Dashboard(
    "entrust-triton",
    "EnTrust: Triton",
    "Triton's own counters, and what the gateway's canaries and watchers saw: a dead stub leaves Triton saying ready.",
    (
        Row(
            "Work",
            (
                Panel(
                    "Executions by model", "ops",
                    (Query(f"sum by (model) (rate(nv_inference_exec_count[{RATE}]))", "{{model}}"),),
                    "Batches that a model ran, canaries included.",
                ),
                Panel(
                    "Batch size", "short",
                    (Query(
                        f"sum by (model) (rate(nv_inference_count[{RATE}])) / "
                        f"sum by (model) (rate(nv_inference_exec_count[{RATE}]))", "{{model}}",
                    ),),
                    "Slices in an execution: the gateway's chunk for studies, 1 for canaries.",
                ),
                Panel(
                    "Requests that wait in Triton", "short",
                    (Query("sum by (model) (nv_inference_pending_request_count)", "{{model}}"),),
                    "More than the number of instances for long: Triton is the bottleneck.",
                ),
                Panel(
                    "Instances kept busy", "short",
                    (Query(
                        f"sum by (model) (rate(nv_inference_compute_infer_duration_us[{RATE}])) / 1e6", "{{model}}"
                    ),),
                    "Seconds of inference in a second; at the number of instances a model is saturated.", width=12,
                ),
                Panel(
                    "CPU of Triton's machine", "percentunit",
                    (Query("avg by (instance) (nv_cpu_utilization)", "{{instance}}"),),
                    "As Triton reads it, over all cores.", width=12,
                ),
            ),
        ),
        Row(
            "Failures",
            (
                Panel(
                    "Failures that Triton counts", "ops",
                    (Query(
                        f"sum by (model, reason) (rate(nv_inference_request_failure[{RATE}]))", "{{model}} {{reason}}"
                    ),),
                    "A full queue is not in it; see the next panel.",
                ),
                Panel(
                    "Calls by outcome", "ops",
                    (Query(
                        f"sum by (model, outcome) (rate(entrust_triton_calls_total[{RATE}]))", "{{model}} {{outcome}}"
                    ),),
                    "As the gateway saw them, calls that it repeated included.",
                ),
                Panel(
                    "Canaries", "ops",
                    (Query(
                        f"sum by (model, outcome) (rate(entrust_triton_canaries_total[{RATE}]))",
                        "{{model}} {{outcome}}",
                    ),),
                    "wrong: an error, or another answer than the known one. late: a busy server.",
                ),
                Panel(
                    "Dead stubs, last hour", "short",
                    (Query("sum by (model) (increase(entrust_triton_stub_deaths_total[1h]))", "{{model}}"),),
                    "Model processes that were found dead. One now and then is repaired in seconds; look for memory.",
                    width=12, limit=1.0,
                ),
                Panel(
                    "Repairs, last hour", "short",
                    (Query("sum by (action) (increase(entrust_triton_repairs_total[1h]))", "{{action}}"),),
                    "Models loaded again, servers started again.", width=12, limit=1.0,
                ),
            ),
        ),
    ),
    span="now-3h",
)  # fmt: skip
