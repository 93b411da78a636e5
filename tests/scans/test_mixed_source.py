"""Several corpora as one source: names, parts, balance, and mixtures that are refused."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from affect4d.scans.corpora.corpus_class_and_scan_table import SCAN_COLUMNS
from affect4d.scans.scan_source_and_corpus_folder import FileSource, MixedSource, part_names


@dataclass(frozen=True)
class Listed:
    """A source that lists scans and reads none."""

    rows: tuple[tuple[str, str | None, str], ...]  # subject, expression, label
    name: str = "listed"

    def table(self):
        rows = [
            {"sequence": f"{subject}/{label}", "subject": subject, "expression": expression, "label": label}
            for subject, expression, label in self.rows
        ]
        table = pd.DataFrame(rows, columns=list(SCAN_COLUMNS)).assign(frame=0, scan="a.obj")
        return table.astype(dict.fromkeys(("sequence", "subject", "expression", "label"), "str"))

    def fingerprint(self):
        return self.name

    def identities(self, scans):
        return [f"{self.name} {sequence}" for sequence in scans["sequence"]]

    def read(self, row, landmarks=True, texels=0):
        return self.name, row["sequence"], landmarks, texels

    def checksum(self, row):
        return f"{self.name} {row['sequence']}"

    def locate(self, row):
        return Path(self.name) / row["scan"]

    def explain_absence(self):
        return f"{self.name} is empty"


def posed(*subjects, words=("anger", "fear"), name="listed"):
    return Listed(tuple((subject, word, word) for subject in subjects for word in words), name)


MIXED = MixedSource((("one", posed("F001", "M001", name="1")), ("two", posed("F001", name="2"))))


def test_names_of_two_corpora_do_not_collide():
    table = MIXED.table()
    assert len(table) == 6
    assert table["sequence"].is_unique
    assert set(table["subject"]) == {"one:F001", "one:M001", "two:F001"}
    assert part_names(table["sequence"]).tolist() == ["one"] * 4 + ["two"] * 2


def test_each_row_goes_to_its_part_under_its_own_name():
    table = MIXED.table().sample(frac=1.0, random_state=0)
    rows = table.to_dict("records")
    own = [f"{'1' if row['sequence'].startswith('one') else '2'} {row['sequence'][4:]}" for row in rows]
    assert MIXED.identities(table) == own
    assert [MIXED.checksum(row) for row in rows] == own
    assert MIXED.read(rows[0], landmarks=False, texels=3) == (*own[0].split(" "), False, 3)
    assert MIXED.locate(rows[0]) == Path(own[0][0]) / "a.obj"


def test_a_mixture_of_mixtures_finds_its_parts():
    nested = MixedSource((("both", MIXED), ("three", posed("F001", name="3"))))
    table = nested.table()
    assert "both:one:M001/fear" in set(table["sequence"])
    assert nested.checksum({"sequence": "both:two:F001/fear"}) == "2 F001/fear"


def test_balance_takes_as_many_subjects_of_each_and_the_same_each_time():
    parts = (("many", posed(*(f"F{number:03d}" for number in range(9)))), ("few", posed("F001", "F002")))
    balanced = MixedSource(parts, balanced=True)
    table = balanced.table()
    assert table.groupby(part_names(table["subject"]))["subject"].nunique().to_dict() == {"many": 2, "few": 2}
    pd.testing.assert_frame_equal(table, balanced.table())
    assert balanced.fingerprint() != MixedSource(parts).fingerprint()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (posed("F001", words=("anger",)), "one shows anger, fear; two shows anger"),
        (Listed((("F001", None, "positive"), ("F001", None, "others"))), "two shows micro-expressions"),
        (Listed((("F001", None, "startle"),)), "two shows startle"),
        (Listed(()), "lacks two. listed is empty"),
    ],
)
def test_a_mixture_that_disagrees_is_refused_by_name(other, message):
    with pytest.raises(ValueError, match="one") as refusal:
        MixedSource((("one", posed("F001")), ("two", other))).table()
    assert message in str(refusal.value)


def test_labels_without_emotion_do_not_make_corpora_disagree():
    neutral = Listed((*posed("F001").rows, ("F001", None, "neutral"), ("F002", None, "lfau_12")))
    assert len(MixedSource((("one", posed("F001")), ("two", neutral))).table()) == 6


def test_micro_expressions_of_two_corpora_go_together_whichever_classes_occur():
    one, two = (Listed((("F001", None, label), ("F001", None, "blink"))) for label in ("positive", "repression"))
    assert len(MixedSource((("one", one), ("two", two))).table()) == 4


def test_a_missing_folder_is_an_error_of_its_part(tmp_path):
    (tmp_path / "notes.txt").write_text("no scans")
    with pytest.raises(ValueError, match=r"lacks two.*No scan in"):
        MixedSource((("one", posed("F001")), ("two", FileSource(tmp_path, "bu4dfe")))).table()
