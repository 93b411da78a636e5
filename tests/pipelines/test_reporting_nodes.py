"""Evidence for the claims table, from whatever optional pipelines have left."""

from affect4d.pipelines.reporting.nodes import gather_evidence

CORPUS = {"name": "own"}


def partitions(**documents):
    return {name.replace("__", "/"): (lambda document=document: document) for name, document in documents.items()}


def test_no_optional_pipeline_need_have_run():
    assert gather_evidence({}, [], CORPUS) == {
        "studies": {}, "findings": {}, "cross_validations": [], "robustness": None, "claims": {}
    }  # fmt: skip


def test_results_of_this_corpus_and_claims_of_every_corpus_are_found():
    found = gather_evidence(
        partitions(
            own__studies__ablation={"a": 1},
            other__studies__ablation={"a": 2},
            own__cross_validation__folds={"c": 1},
            own__robustness={"r": 1},
            other__robustness={"r": 2},
            own__claims={"day": "2026-01-01", "claims": [1]},
            other__claims={"day": "2026-01-02", "claims": [2]},
        ),
        [],
        CORPUS,
    )
    assert found["studies"] == {"ablation": {"a": 1}}
    assert found["cross_validations"] == [{"c": 1}]
    assert found["robustness"] == {"r": 1}
    assert found["claims"]["other"] == {"day": "2026-01-02", "claims": [2]}
    assert set(found["claims"]) == {"own", "other"}


def test_micro_expressions_of_the_corpus_measured_last_stand_beside_any_corpus():
    measured = partitions(
        micro__claim_9=[{"p": 2, "made": "2026-01-02"}],
        micro_2__claim_9=[{"p": 3, "made": "2026-01-03"}],
        later__claim_9=[],
    )
    assert gather_evidence(measured, [], CORPUS)["findings"] == {"9": [{"p": 3, "made": "2026-01-03"}]}
    own = [{"p": 1, "made": "2026-01-01"}]
    assert gather_evidence(measured, own, CORPUS)["findings"] == {"9": own}
