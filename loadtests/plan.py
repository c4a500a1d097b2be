"""How much is done: everything is bounded in number and time."""

from dataclasses import dataclass, field, replace

from loadtests.kills import TARGETS, Target


@dataclass(frozen=True)
class Plan:
    """One run.

    Attributes:
        transport_rounds: Single calls of the identity model each way.
        step_rounds: Times that one study goes each way.
        step_study: Its size.
        step_hypotheses: Its K.
        step_steps: Its S.
        saturation_seconds: How long more is offered than can be done, to find what can be.
        fractions: Offered loads, of the capacity.
        stage_seconds: How long each is offered.
        max_queued: Jobs that may wait in the gateway.
        tasks: What it serves; every task when empty.
        overload: The largest load, of the capacity.
        overload_seconds: How long it is offered.
        targets: What is killed.
        kills: How often each.
        kill_load: Load beside the kills, of the capacity.
    """

    transport_rounds: int = 300
    step_rounds: int = 15
    step_study: str = "medium"
    step_hypotheses: int = 8
    step_steps: int = 4
    saturation_seconds: float = 45.0
    fractions: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5)
    stage_seconds: float = 45.0
    max_queued: int = 8
    tasks: str = ""
    overload: float = 5.0
    overload_seconds: float = 180.0
    targets: tuple[Target, ...] = field(default=TARGETS)
    kills: int = 3
    kill_load: float = 0.25

    def shortened(self, share: float) -> "Plan":
        """Return a plan of a share of the times and numbers, as far as they can be less.

        Args:
            share: In (0, 1].
        """
        return replace(
            self,
            transport_rounds=max(10, round(share * self.transport_rounds)),
            step_rounds=max(2, round(share * self.step_rounds)),
            saturation_seconds=share * self.saturation_seconds,
            stage_seconds=share * self.stage_seconds,
            overload_seconds=share * self.overload_seconds,
            kills=max(1, round(share * self.kills)),
        )

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the gateway that is loaded."""
        return {"ENTRUST_JOBS__MAX_QUEUED": str(self.max_queued), "ENTRUST_TRITON__TASKS": self.tasks}


FULL = Plan()
QUICK = Plan(
    transport_rounds=10, step_rounds=2, step_study="small", step_hypotheses=2, step_steps=2, saturation_seconds=4.0,
    fractions=(0.5,), stage_seconds=4.0, max_queued=2, tasks="oncology", overload=8.0, overload_seconds=8.0,
    targets=("gateway",), kills=1,
)  # fmt: skip
"""Whether the machinery works, in a few minutes; its numbers mean nothing."""
