"""Evidence for the claims table, from whatever optional pipelines have left."""

from affect4d.pipelines.reporting.nodes import gather_evidence, studies_on

CORPUS = {"name": "own"}


def partitions(**documents):
    return {name.replace("__", "/"): (lambda document=document: document) for name, document in documents.items()}


def study(training_subjects, data="data"):
    return {"provenance": {"training_subjects": training_subjects, "basis": {"data": data}}}


def test_no_optional_pipeline_need_have_run():
    assert gather_evidence({}, [], CORPUS) == {
        "studies": {}, "findings": {}, "cross_validations": [], "robustness": None, "claims": {}
    }  # fmt: skip


def test_results_of_this_corpus_and_claims_of_every_corpus_are_found():
    found = gather_evidence(
        partitions(
            own__studies__all__ablation=study(None),
            own__studies__40__ablation=study(40),
            own__studies__all__convergence=study(30),
            other__studies__all__ablation=study(None),
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
    assert found["studies"] == {
        "30": {"convergence": study(30)},
        "40": {"ablation": study(40)},
        "all": {"ablation": study(None)},
    }
    assert list(found["studies"]) == ["30", "40", "all"]
    assert found["cross_validations"] == [{"c": 1}]
    assert found["robustness"] == {"r": 1}
    assert [answer["claims"] for answer in found["claims"].values()] == [[1], [2], [3]]


def test_a_study_of_an_earlier_version_gives_way_to_a_later_one():
    found = gather_evidence(
        partitions(own__studies__convergence=study(None, "old"), own__studies__all__convergence=study(None, "new")),
        [],
        CORPUS,
    )
    assert found["studies"] == {"all": {"convergence": study(None, "new")}}
    assert set(gather_evidence(partitions(own__studies__ablation=study(40)), [], CORPUS)["studies"]) == {"40"}


def test_studies_on_other_data_are_in_no_plot():
    studies = {"40": {"ablation": study(40, "data"), "convergence": study(40, "other")}, "all": {"old": []}}
    assert studies_on(studies, "data") == {"40": {"ablation": study(40, "data")}, "all": {}}


def test_micro_expressions_of_the_corpus_measured_last_stand_beside_any_corpus():
    measured = partitions(
        micro__claim_9=[{"p": 2, "made": "2026-01-02"}],
        micro_2__claim_9=[{"p": 3, "made": "2026-01-03"}],
        later__claim_9=[],
    )
    assert gather_evidence(measured, [], CORPUS)["findings"] == {"9": [{"p": 3, "made": "2026-01-03"}]}
    own = [{"p": 1, "made": "2026-01-01"}]
    assert gather_evidence(measured, own, CORPUS)["findings"] == {"9": own}
