"""The first page of the app, driven as a person would."""

import pytest
from streamlit.testing.v1 import AppTest


def test_without_a_trained_model_the_page_says_how_to_make_one(make_project, project_root, monkeypatch):
    monkeypatch.chdir(make_project("empty").folder)
    page = AppTest.from_file(str(project_root / "src/affect4d/app.py")).run(timeout=60)
    assert not page.exception
    assert "make run" in page.warning[0].value


@pytest.mark.slow
def test_a_sample_its_answers_and_typed_sentences(finished, project_root, monkeypatch):
    project, _ = finished
    monkeypatch.chdir(project.folder)
    page = AppTest.from_file(str(project_root / "src/affect4d/app.py"), default_timeout=120).run()
    assert not page.exception
    assert page.sidebar.selectbox[0].value == "open-4dfer-s"
    assert set(page.sidebar.selectbox[1].options) == set(project.load("subject_split")["test"])
    page.sidebar.selectbox[2].select("happiness").run()
    page.text_area[0].set_value("a broad smile").run()
    assert not page.exception
    similarity = page.dataframe[0].value
    assert list(similarity.index) == ["a broad smile"]
    assert similarity.abs().to_numpy().max() <= 1
