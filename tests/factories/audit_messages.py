"""The schema that audit messages are held against."""

from functools import cache
from pathlib import Path

from lxml import etree


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(Path(__file__).with_name("audit_message.rng"))))


def parse_message(text: str) -> etree._Element:
    """Return an audit message that keeps to the schema of PS3.15 A.5.1.

    Raises:
        AssertionError: It does not.
    """
    root = etree.fromstring(text.encode())
    schema = _schema()
    assert schema.validate(root), schema.error_log
    return root


def codes(root: etree._Element, path: str) -> list[str]:
    """Return the code values of elements."""
    return [element.get("csd-code", "") for element in root.iterfind(path)]
