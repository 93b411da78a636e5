"""What earlier runs left behind, whole or not."""

import json

from affect4d.datasets import EvidenceDataset

ABSENT = {"studies": {}, "findings": {}, "cross_validations": [], "robustness": None, "answers": {}}


def test_a_document_without_a_version_is_absent(tmp_path):
    corpus = tmp_path / "open-4dfer-s"
    for document in (
        "studies/s.json", "findings/claim_1.json", "cross_validation/10-fold/c/scores.json", "robustness.json"
    ):  # fmt: skip
        (corpus / document / "2026-01-01").mkdir(parents=True)
    assert EvidenceDataset(filepath=str(corpus)).load() == ABSENT


def test_the_newest_version_speaks_in_any_language(tmp_path):
    for version, word in (("2026-01-01", "old"), ("2026-01-02", "größer")):
        place = tmp_path / "corpus" / "robustness.json" / version / "robustness.json"
        place.parent.mkdir(parents=True)
        place.write_text(f'{{"said": "{word}"}}', encoding="utf-8")
    assert EvidenceDataset(filepath=str(tmp_path / "corpus")).load()["robustness"] == {"said": "größer"}


def answered(folder, corpus, version, text):
    place = folder / corpus / "versions/claims.json" / version
    place.mkdir(parents=True)
    (place / "claims.json").write_text(text)


def test_every_corpus_that_has_answered_the_claims_is_found_with_its_day(tmp_path):
    answered(tmp_path, "one", "2026-01-01T10.00.00.000Z", json.dumps([1]))
    answered(tmp_path, "one", "2026-01-02T10.00.00.000Z", json.dumps([2]))
    answered(tmp_path, "two", "2026-01-03T10.00.00.000Z", json.dumps([3]))
    (tmp_path / "three/versions/claims.json/2026-01-04").mkdir(parents=True)
    found = EvidenceDataset(filepath=str(tmp_path / "one")).load()["answers"]
    assert found == {"one": {"day": "2026-01-02", "claims": [2]}, "two": {"day": "2026-01-03", "claims": [3]}}


def test_a_document_that_another_run_is_writing_is_passed_over(tmp_path, caplog):
    answered(tmp_path, "one", "2026-01-01", json.dumps([1]))
    answered(tmp_path, "one", "2026-01-02", '[{"number": 1, "verd')
    found = EvidenceDataset(filepath=str(tmp_path / "one")).load()["answers"]
    assert found == {"one": {"day": "2026-01-01", "claims": [1]}}
    assert "2026-01-02" in caplog.text
