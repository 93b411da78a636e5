"""Every source gives the same kind of table, and no label reaches any of them."""

import zlib
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from affect4d.evaluation.zero_shot import prompt_similarities
from affect4d.pseudo_labels.options import (
    LABELS,
    UNLABELLED,
    ClusterOptions,
    PseudoLabelOptions,
    ZeroShotOptions,
)
from affect4d.pseudo_labels.pseudo_prompts import PSEUDO_PROMPT_COLUMNS, SOURCES, write_pseudo_prompts
from affect4d.scans.alignment.face_landmarker import BLENDSHAPES
from affect4d.scans.expression import EXPRESSIONS
from affect4d.views.bank import ViewBank
from affect4d.views.input_options import FrameSampler

SUBJECTS = 7
TRAIN = ("S00", "S01", "S02", "S03", "S04")


@pytest.fixture
def manifests(generator):
    """Scans and views of seven subjects who move six groups of landmarks, one an expression."""
    face = generator.normal(0, 40, (83, 3))
    rows, views = [], []
    for subject in range(SUBJECTS):
        for number, expression in enumerate(EXPRESSIONS):
            name, apex = f"S{subject:02d}/{number}", np.zeros((83, 3))
            apex[16 + 8 * number : 24 + 8 * number, 1] = 6.0
            views.append((name, f"S{subject:02d}", expression))
            for frame, share in enumerate((0.0, 1.0, 0.9)):
                points = face + share * apex + generator.normal(0, 0.2, (83, 3))
                rows.append((name, f"S{subject:02d}", frame, points.ravel().tolist(), expression))
    scans = pd.DataFrame(rows, columns=["sequence", "subject", "frame", "landmarks", "expression"])
    return scans, pd.DataFrame(views, columns=["sequence", "subject", "expression"])


@pytest.fixture
def clip_folder(tmp_path, write_clip):
    """A small open_clip model in a folder."""
    folder = tmp_path / "clip"
    folder.mkdir()
    write_clip(folder, context_length=40)
    return folder


@pytest.fixture
def pictures(monkeypatch, manifests, generator):
    """The bank every source opens: two frames a sequence, one view."""
    names = tuple(manifests[1]["sequence"])
    count = 2 * len(names)
    bank = ViewBank(
        images=torch.from_numpy(generator.integers(0, 255, (count, 1, 1, 32, 32)).astype(np.uint8)),
        neutral=torch.arange(len(names)).repeat_interleave(2) * 2,
        sequence=torch.arange(len(names)).repeat_interleave(2),
        frame=torch.arange(2).repeat(len(names)),
        in_window=torch.tensor([False, True]).repeat(len(names)),
        sequences=names,
        views=("front",),
    )
    monkeypatch.setattr("affect4d.evaluation.zero_shot.load_view_bank", lambda *_: bank)
    return bank


@pytest.fixture
def options(clip_folder):
    return {
        "geometry": PseudoLabelOptions(),
        "blendshapes": PseudoLabelOptions(source="blendshapes"),
        "zero_shot": PseudoLabelOptions(source="zero_shot", zero_shot=ZeroShotOptions(name=f"local-dir:{clip_folder}")),
        "cluster": PseudoLabelOptions(source="cluster", cluster=ClusterOptions(count=6)),
    }


def write(manifests, options, frames=FrameSampler()):  # noqa: B008
    """Prompts from manifests whose label columns are dropped first, as every caller does."""
    scans, views = (table.drop(columns=list(LABELS), errors="ignore") for table in manifests)
    similarities = partial(prompt_similarities, views, None, options.zero_shot, frames)
    return write_pseudo_prompts(scans[list(UNLABELLED)], TRAIN, options, similarities, partial(blendshapes_of, scans))


def blendshapes_of(scans):
    """Scores of every frame, other ones for each sequence."""
    seeds = [[zlib.crc32(name.encode()), frame] for name, frame in zip(scans["sequence"], scans["frame"], strict=True)]
    rows = [np.random.default_rng(seed).uniform(0, 0.5, len(BLENDSHAPES)) for seed in seeds]
    scores = pd.DataFrame(rows, columns=list(BLENDSHAPES))
    return scores.assign(sequence=scans["sequence"].to_numpy(), frame=scans["frame"].to_numpy())


def test_a_pretrained_model_is_given_the_frames_of_training(manifests, pictures, options, monkeypatch):
    given = []
    monkeypatch.setattr(
        "affect4d.evaluation.zero_shot.load_view_bank",
        lambda _, __, inputs: given.append(inputs) or pictures,
    )
    frames = FrameSampler(kind="onset_apex", frames=4)
    write(manifests, options["zero_shot"], frames)
    assert [inputs.frames for inputs in given] == [frames]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_writes_the_same_kind_of_table(source, manifests, pictures, options):
    table = write(manifests, options[source])
    assert list(table.columns) == list(PSEUDO_PROMPT_COLUMNS)
    assert set(table["source"]) == {source}
    assert set(table["sequence"]) == set(manifests[1]["sequence"])
    assert table.attrs["unmeasured"] == []
    assert table["confidence"].between(0, 1).all()


@pytest.mark.parametrize("source", SOURCES)
def test_permuting_all_labels_changes_no_pseudo_label(source, manifests, pictures, options, generator):
    lied_to = tuple(table.assign(expression=generator.permutation(table["expression"])) for table in manifests)
    told = write(manifests, options[source])
    pd.testing.assert_frame_equal(told, write(lied_to, options[source]))


@pytest.mark.parametrize("source", ["geometry", "cluster"])
def test_permuting_all_labels_changes_no_pseudo_label_of_single_scans(source, manifests, options, generator):
    scans, views = manifests
    single = (scans[scans["frame"] == 1].reset_index(drop=True), views)
    lied_to = tuple(table.assign(expression=generator.permutation(table["expression"])) for table in single)
    told = write(single, options[source])
    assert set(told["sequence"]) == set(views["sequence"])
    pd.testing.assert_frame_equal(told, write(lied_to, options[source]))


@pytest.mark.parametrize("source", SOURCES)
def test_a_scan_table_with_labels_is_refused(source, manifests, options):
    with pytest.raises(ValueError, match="without labels"):
        write_pseudo_prompts(manifests[0], TRAIN, options[source])


def test_a_view_table_with_labels_is_refused(manifests, options):
    with pytest.raises(ValueError, match="without labels"):
        prompt_similarities(manifests[1], None, options["zero_shot"].zero_shot, FrameSampler())


def test_a_model_without_weights_is_refused(manifests, pictures):
    with pytest.raises(ValueError, match="has learnt nothing"):
        write(manifests, PseudoLabelOptions(source="zero_shot"))
