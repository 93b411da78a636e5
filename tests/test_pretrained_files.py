import hashlib
from dataclasses import replace

import pytest

from affect4d.pretrained_files import (
    FACE_LANDMARKER,
    MINILM_TOKENIZER,
    MINILM_WEIGHTS,
    PretrainedModelMissingError,
    find_pretrained_file,
)

FILES = [FACE_LANDMARKER, MINILM_WEIGHTS, MINILM_TOKENIZER]


@pytest.fixture(autouse=True)
def looked_up_again():
    """Other tests find what is installed, whatever these name."""
    find_pretrained_file.cache_clear()
    yield
    find_pretrained_file.cache_clear()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.content)
def test_a_missing_file_is_named_with_the_remedy(file, monkeypatch, tmp_path):
    monkeypatch.setenv(file.variable, str(tmp_path / "gone"))
    with pytest.raises(PretrainedModelMissingError, match=r"gone, and there is no file .*make setup"):
        find_pretrained_file(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.content)
def test_another_file_is_refused(file, monkeypatch, tmp_path):
    (tmp_path / "other").write_bytes(b"another network")
    monkeypatch.setenv(file.variable, str(tmp_path / "other"))
    with pytest.raises(PretrainedModelMissingError, match=f"other is not the {file.content}"):
        find_pretrained_file(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.content)
def test_no_package_and_no_variable_name_the_remedy(file, monkeypatch):
    monkeypatch.delenv(file.variable, raising=False)
    with pytest.raises(PretrainedModelMissingError, match=r"is not installed.*make setup"):
        find_pretrained_file(replace(file, package="no-such-package"))


def test_a_folder_is_named_for_several_files(monkeypatch, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    monkeypatch.setenv(MINILM_TOKENIZER.variable, str(tmp_path))
    file = replace(MINILM_TOKENIZER, sha256=hashlib.sha256(b"{}").hexdigest())
    assert find_pretrained_file(file) == tmp_path / "tokenizer.json"


def test_set_up_installs_the_packages(project_root):
    locked = (project_root / "requirements-pretrained.lock").read_text()
    assert all(f"\n{file.package}==" in locked for file in FILES)
    assert MINILM_WEIGHTS.remedy.split("--no-deps ")[1].split(" ")[0] in locked
