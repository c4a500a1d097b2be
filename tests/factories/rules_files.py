"""Small rules files, and rules made of one condition."""

from collections.abc import Mapping
from dataclasses import replace
from textwrap import dedent, indent

from entrust.contract import ONCOLOGY, Modality, Task
from entrust.contract import TASKS as SHIPPED
from service.selection import Rules, parse_rules

BRAIN = replace(
    ONCOLOGY,
    name="brain",
    title="A brain tumour",
    modalities=(
        Modality("t1", "T1-weighted MR", "MR", "arbitrary"),
        Modality("t1c", "T1-weighted MR with contrast agent", "MR", "arbitrary"),
        Modality("flair", "FLAIR", "MR", "arbitrary"),
    ),
    reference_order=("t1c", "t1", "flair"),
)
TASKS: Mapping[str, Task] = {**SHIPPED, "brain": BRAIN}

BRAIN_RULES = """\
  - task: brain
    when:
      - {tag: BodyPartExamined, any_of: [BRAIN, HEAD]}
    roles:
      t1c: {required: true, take: [mr_sequence: [t1c]]}
      t1: {take: [mr_sequence: [t1]]}
      flair: {required: true, take: [mr_sequence: [flair]]}
"""
ONCOLOGY_RULES = """\
  - task: oncology
    roles:
      ct: {}
      pet: {}
      t1: {take: [mr_sequence: [t1, t1c]]}
"""
BOTH_TASKS = "version: 1\ntasks:\n" + BRAIN_RULES + ONCOLOGY_RULES


def parse(text: str, tasks: Mapping[str, Task] = TASKS) -> Rules:
    """Read rules from text."""
    return parse_rules(text.encode(), tasks)


def taking(condition: str, *, define: str = "") -> Rules:
    """Return rules whose only role, the CT, takes what meets a condition."""
    head = f"version: 1\n{dedent(define)}\n"
    return parse(head + f"tasks:\n  - task: oncology\n    roles:\n      ct:\n        take:\n          - {condition}\n")


def excluding(condition: str) -> Rules:
    """Return rules with one exclusion called ``test``."""
    rule = f"- {{name: test, because: It is a test., when: [{condition}]}}"
    return parse(f"version: 1\nexclude:\n{indent(rule, '  ')}\ntasks:\n{ONCOLOGY_RULES}")


def with_oncology(lines: str) -> Rules:
    """Return rules with these keys of the top level before the task."""
    return parse(f"version: 1\n{dedent(lines)}\ntasks:\n{ONCOLOGY_RULES}")
