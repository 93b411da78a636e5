"""Every source gives the same kind of table, and no label reaches any of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from affect4d.prompts.pseudo_labels.options import ClusterOptions, PseudoLabelOptions, ZeroShotOptions
from affect4d.prompts.pseudo_labels.sentences import PSEUDO_PROMPT_COLUMNS
from affect4d.pseudo_labels import sources
from affect4d.pseudo_labels.sources import SOURCES, Unlabelled, write_pseudo_prompts
from affect4d.scans.expression import EXPRESSIONS
from affect4d.store import ContentStore
from affect4d.views.bank import ViewBank
from affect4d.views.inputs import FrameSampler

SUBJECTS = 7
TRAIN = ("S00", "S01", "S02", "S03", "S04")


@pytest.fixture
def manifests(generator):
    """Scans and views of seven people who move six groups of landmarks, one an expression."""
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
    monkeypatch.setattr("affect4d.pseudo_labels.pretrained.load_view_bank", lambda *_: bank)
    return bank


@pytest.fixture
def options(clip_folder):
    return {
        "geometry": PseudoLabelOptions(),
        "zero_shot": PseudoLabelOptions(source="zero_shot", zero_shot=ZeroShotOptions(name=f"local-dir:{clip_folder}")),
        "cluster": PseudoLabelOptions(source="cluster", cluster=ClusterOptions(count=6)),
    }


def unlabelled(manifests, store, **more):
    return Unlabelled.of(*manifests, store, TRAIN, **more)


def test_a_pretrained_model_looks_at_the_frames_that_are_trained_on(
    manifests, pictures, options, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        "affect4d.pseudo_labels.pretrained.load_view_bank", lambda views, store, seen: asked.append(seen) or pictures
    )
    frames = FrameSampler(kind="onset_apex", frames=4)
    write_pseudo_prompts(unlabelled(manifests, ContentStore(tmp_path), frames=frames), options["zero_shot"])
    assert [seen.frames for seen in asked] == [frames]


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_writes_the_same_kind_of_table(source, manifests, pictures, options, tmp_path):
    table = write_pseudo_prompts(unlabelled(manifests, ContentStore(tmp_path)), options[source])
    assert list(table.columns) == list(PSEUDO_PROMPT_COLUMNS)
    assert set(table["source"]) == {source}
    assert set(table["sequence"]) == set(manifests[1]["sequence"])
    assert table.attrs["unmeasured"] == []
    assert table["confidence"].between(0, 1).all()


@pytest.mark.parametrize("source", SOURCES)
def test_permuting_all_labels_changes_no_pseudo_label(source, manifests, pictures, options, tmp_path, generator):
    lied_to = tuple(table.assign(expression=generator.permutation(table["expression"])) for table in manifests)
    told = write_pseudo_prompts(unlabelled(manifests, ContentStore(tmp_path)), options[source])
    pd.testing.assert_frame_equal(
        told, write_pseudo_prompts(unlabelled(lied_to, ContentStore(tmp_path)), options[source])
    )


@pytest.mark.parametrize("source", ["geometry", "cluster"])
def test_permuting_all_labels_changes_no_pseudo_label_of_single_scans(source, manifests, options, tmp_path, generator):
    scans, views = manifests
    single = (scans[scans["frame"] == 1].reset_index(drop=True), views)
    lied_to = tuple(table.assign(expression=generator.permutation(table["expression"])) for table in single)
    told = write_pseudo_prompts(unlabelled(single, ContentStore(tmp_path)), options[source])
    assert set(told["sequence"]) == set(views["sequence"])
    pd.testing.assert_frame_equal(
        told, write_pseudo_prompts(unlabelled(lied_to, ContentStore(tmp_path)), options[source])
    )


@pytest.mark.parametrize("table", ["scans", "views"])
def test_a_table_with_labels_is_refused(table, manifests, tmp_path):
    data = unlabelled(manifests, ContentStore(tmp_path))
    with pytest.raises(ValueError, match="without labels"):
        replace(data, **{table: manifests[table == "views"]})


def test_clusters_are_refreshed_as_often_as_asked(manifests, options, tmp_path, monkeypatch):
    """Each refresh is handed the words of the clusters before, and its embeddings are what is clustered next."""
    handed = []

    def embed(views, store, prompts, train, refreshing, number):
        handed.append((number, prompts))
        names = prompts["sequence"].unique()
        return pd.DataFrame(np.eye(6)[[int(name[-1]) for name in names]], index=names)

    monkeypatch.setattr(sources, "embed_after_training", embed)
    data = replace(unlabelled(manifests, ContentStore(tmp_path)), refreshing="how")
    chosen = options["cluster"].model_copy(update={"cluster": ClusterOptions(count=6, refreshes=2)})
    table = write_pseudo_prompts(data, chosen)
    assert [number for number, _ in handed] == [1, 2]
    assert table.groupby(table["sequence"].str[-1])["pseudo_label"].nunique().eq(1).all()
    with pytest.raises(ValueError, match="refreshed by training"):
        write_pseudo_prompts(replace(data, refreshing=None), chosen)


def test_a_model_without_weights_has_no_opinion(manifests, pictures, tmp_path):
    with pytest.raises(ValueError, match="has nothing to say"):
        write_pseudo_prompts(unlabelled(manifests, ContentStore(tmp_path)), PseudoLabelOptions(source="zero_shot"))
