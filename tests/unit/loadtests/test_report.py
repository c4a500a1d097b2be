"""The section between its marks, and nothing else of the document."""

import pytest

from loadtests.report import BEGIN, END, put_between

DOCUMENT = f"# Benchmarks\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"


def test_a_section_replaces_what_was_between_the_marks() -> None:
    once = put_between(DOCUMENT, "new\n")
    assert once == f"# Benchmarks\n\nBefore.\n\n{BEGIN}\n\nnew\n\n{END}\n\nAfter.\n"
    assert put_between(once, "new\n") == once


@pytest.mark.parametrize("document", ["", BEGIN, f"{END}\n{BEGIN}", DOCUMENT + DOCUMENT])
def test_a_document_without_its_marks_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        put_between(document, "new")
