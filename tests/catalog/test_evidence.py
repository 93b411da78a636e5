"""What earlier runs left behind, whole or not."""

from affect4d.catalog import EvidenceDataset

ABSENT = {"studies": {}, "findings": {}, "cross_validations": [], "robustness": None}


def test_a_document_without_a_version_is_absent(tmp_path):
    corpus = tmp_path / "open-4dfer-s"
    for document in (
        "studies/s.json", "findings/claim_1.json", "cross_validation/10-fold/c/scores.json", "robustness.json"
    ):  # fmt: skip
        (corpus / document / "2026-01-01").mkdir(parents=True)
    assert EvidenceDataset(folder=str(corpus)).load() == ABSENT


def test_the_newest_version_speaks_in_any_language(tmp_path):
    for version, word in (("2026-01-01", "old"), ("2026-01-02", "größer")):
        place = tmp_path / "corpus" / "robustness.json" / version / "robustness.json"
        place.parent.mkdir(parents=True)
        place.write_text(f'{{"said": "{word}"}}', encoding="utf-8")
    assert EvidenceDataset(folder=str(tmp_path / "corpus")).load()["robustness"] == {"said": "größer"}
