"""Contact sheets are drawn again when their inputs change."""

import pandas as pd
import pytest
from PIL import Image

from affect4d.pipelines.data import nodes
from affect4d.store import ContentStore
from affect4d.views import contact_sheets

VIEWS = pd.DataFrame({"sequence": ["a/1", "b/1"], "subject": ["a", "b"], "checksum": ["one", "other"]})
SEQUENCES = pd.DataFrame(
    {"sequence": ["a/1", "b/1"], "expression": ["fear", "anger"], "onset": None, "apex": None, "label": "x"}
)


@pytest.fixture
def count(monkeypatch, tmp_path):
    """How many sheets are drawn for some tables."""
    drawn = []
    monkeypatch.setattr(contact_sheets, "corpus_sheet", lambda *_: drawn.append(1) or Image.new("RGB", (4, 4)))

    def of(*tables):
        drawn.clear()
        for views, sequences in tables:
            nodes.draw_view_sheet(views, sequences, ContentStore(tmp_path))
        return len(drawn)

    return of


def test_a_contact_sheet_is_drawn_again_if_what_it_says_of_people_or_sequences_changes(count):
    other_people = VIEWS.assign(subject="one and the same")
    relabelled = SEQUENCES.assign(label="y")
    assert count((VIEWS, SEQUENCES), (VIEWS, SEQUENCES)) == 1
    assert count((other_people, SEQUENCES)) == 1
    assert count((VIEWS, relabelled)) == 1
