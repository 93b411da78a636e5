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
            own__studies__all__ablation={"a": 1},
            own__studies__40__ablation={"a": 3},
            other__studies__all__ablation={"a": 2},
            own__cross_validation__folds={"c": 1},
            own__robustness={"r": 1},
            other__robustness={"r": 2},
            **{
                "own__claims-all": {"claims": [1]},
                "own__claims-40": {"claims": [2]},
                "other__claims-all": {"claims": [3]},
            },
        ),
        [],
        CORPUS,
    )
    assert found["studies"] == {"all": {"ablation": {"a": 1}}, "40": {"ablation": {"a": 3}}}
    assert found["cross_validations"] == [{"c": 1}]
    assert found["robustness"] == {"r": 1}
    assert [answer["claims"] for answer in found["claims"].values()] == [[1], [2], [3]]


def test_studies_of_an_earlier_version_lie_in_no_folder_of_a_scale():
    assert gather_evidence(partitions(own__studies__ablation={"a": 1}), [], CORPUS)["studies"] == {
        "all": {"ablation": {"a": 1}}
    }


def test_micro_expressions_of_the_corpus_measured_last_stand_beside_any_corpus():
    measured = partitions(
        micro__claim_9=[{"p": 2, "made": "2026-01-02"}],
        micro_2__claim_9=[{"p": 3, "made": "2026-01-03"}],
        later__claim_9=[],
    )
    assert gather_evidence(measured, [], CORPUS)["findings"] == {"9": [{"p": 3, "made": "2026-01-03"}]}
    own = [{"p": 1, "made": "2026-01-01"}]
    assert gather_evidence(measured, own, CORPUS)["findings"] == {"9": own}
