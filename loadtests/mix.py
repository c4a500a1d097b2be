"""Who comes: the mix of visits, dealt from shuffled decks so that short runs have the same mix as long ones."""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["study", "detached", "cancel", "refusal"]
FAILURES_OF_LOAD = frozenset({"overloaded"})
"""How any visit may end when there is no room."""
CHANGE_OF_MIND_SECONDS = 0.7
"""After which a visitor takes the job back: some wait by then, some run."""
LONGEST_SECONDS = 600.0
"""No visit takes longer."""


@dataclass(frozen=True)
class Visit:
    """One visit.

    Attributes:
        kind: ``study`` waits for its results, ``detached`` comes back for them, ``cancel`` takes its job back,
            ``refusal`` must be refused.
        archive: What is sent.
        parameters: What is asked for, beside the task.
        outcomes: How it may end while there is room.
        case: Which of its kind.
        makes_job: Whether a job comes of it; else it is refused at the door.
        task: What to segment.
    """

    kind: Kind
    archive: str
    parameters: Mapping[str, str]
    outcomes: frozenset[str] = frozenset({"succeeded"})
    case: str = ""
    makes_job: bool = True
    task: str = "oncology"

    @property
    def name(self) -> str:
        """Which of its kind: its own word, or the size of the study."""
        return self.case or self.archive

    @property
    def priority(self) -> str:
        """``routine`` or ``stat``."""
        return self.parameters.get("priority", "routine")

    def expects(self, outcome: str) -> bool:
        """Tell whether it may end like that."""
        return outcome in self.outcomes or outcome in FAILURES_OF_LOAD


def _asking(hypotheses: int, steps: int, **more: str) -> dict[str, str]:
    return {"num_hypotheses": str(hypotheses), "num_steps": str(steps), **more}


def _refused(case: str, archive: str, outcome: str, *, makes_job: bool, task: str = "oncology", **more: str) -> Visit:
    asked = _asking(1, 1) | more
    return Visit("refusal", archive, asked, frozenset({outcome}), case, makes_job, task)


STUDIES = (
    *6 * (Visit("study", "small", _asking(2, 2)),),
    *3 * (Visit("detached", "small", _asking(4, 4)),),
    Visit("study", "small", _asking(1, 1, priority="stat")),
    Visit("study", "small", _asking(4, 2, priority="stat")),
    *2 * (Visit("study", "medium", _asking(2, 2)),),
    Visit("detached", "medium", _asking(4, 2, sampler="dpm++2m")),
    Visit("study", "large", _asking(2, 2)),
)
# a job that had ended when it was taken back is forgotten instead, over HTTP, or has given its results
_TAKEN_BACK = frozenset({"cancelled", "succeeded", "not-found"})
TAKEN_BACK = (
    *2 * (Visit("cancel", "medium", _asking(2, 8), _TAKEN_BACK),),
    Visit("cancel", "small", _asking(2, 8), _TAKEN_BACK),
)
REFUSED = (
    _refused("truncated", "truncated", "invalid-input", makes_job=True),
    _refused("no-images", "no-images", "unsupported-media", makes_job=True),
    _refused("two-patients", "two-patients", "invalid-input", makes_job=True),
    _refused("unknown-task", "small", "not-found", makes_job=False, task="everything"),
    _refused("too-many", "small", "invalid-input", makes_job=False, num_hypotheses="100000"),
)
DECK = STUDIES + TAKEN_BACK + REFUSED
SMALL = (Visit("study", "small", _asking(1, 1)), Visit("detached", "small", _asking(1, 1)))
"""A light load, in whose midst something is killed."""
DECKS: Mapping[str, tuple[Visit, ...]] = {"mixed": DECK, "small": SMALL}


def job_share(deck: tuple[Visit, ...]) -> float:
    """Return the share of a deck's visits that want a job."""
    return sum(visit.makes_job for visit in deck) / len(deck)


@dataclass(frozen=True)
class Arrivals:
    """Visits that come whatever became of earlier ones: a slow service meets the same crowd as a fast one.

    The times are a Poisson process whose number of events is known: independent and uniform within the window.

    Args:
        deck: Which deck.
        visits: How many.
        seconds: Length of the window.
        seed: Of the order and the times.
    """

    deck: str
    visits: int
    seconds: float
    seed: int

    def __iter__(self) -> Iterator[tuple[float, Visit]]:
        """Yield each visit with its time, in seconds from the start, in order."""
        chance = random.Random(self.seed)  # noqa: S311  (a load, no secret)
        times = sorted(chance.uniform(0.0, self.seconds) for _ in range(self.visits))
        return zip(times, itertools.islice(self._deal(chance), self.visits), strict=True)

    def _deal(self, chance: random.Random) -> Iterator[Visit]:
        while True:
            cards = list(DECKS[self.deck])
            chance.shuffle(cards)
            yield from cards
