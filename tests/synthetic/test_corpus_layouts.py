"""The synthetic faces in every corpus's own files: what is written, and that it is read back the same."""

import contextlib
import re
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from affect4d.rendering.cameras_and_render_backends import Renderer
from affect4d.rendering.options import RenderOptions
from affect4d.scans.corpora import CORPORA, corpus_named
from affect4d.scans.corpora.corpus_class_and_scan_table import completeness
from affect4d.scans.expression import EXPRESSIONS
from affect4d.scans.ingest import IngestOptions, ingest_source, load_canonical_scan
from affect4d.scans.scan import FaceScan
from affect4d.scans.splits import SubjectSplit
from affect4d.store import ContentStore
from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic import write_corpus as generate
from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.corpus_layouts import BP4D_CODED, LAYOUTS, coded_units, layout_named, rising_frames
from affect4d.synthetic.generate_scans import Take, perform, performance_of, scan_frame
from affect4d.synthetic.generated_scan_source import as_written, open_source
from affect4d.synthetic.performance import envelopes
from affect4d.synthetic.recipe import CorpusRecipe, PerformanceOptions
from affect4d.synthetic.scan_file_writers import (
    BNT_BACKGROUND,
    bnd_bytes,
    bnt_bytes,
    index_lines,
    lm_bytes,
    mtl_bytes,
    number_lines,
    obj_bytes,
    range_image,
    tbnd_bytes,
    wrl_bytes,
)
from affect4d.synthetic.write_corpus import export_layout, generate_corpus

FACES = np.array([[0, 1, 2], [2, 1, 3]], dtype=np.int32)
VERTICES = np.array([[0, 0, 0], [-1.5, 2, 3], [100.1234, -0.0004, 12], [7, 8, 9]], dtype=np.float32)
COORDINATES = np.array([[0, 0], [1, 0], [0.25, 0.5], [0.99999, 1]], dtype=np.float32)


def plane(height: float = 0.0) -> FaceScan:
    """A tilted square of 10 mm: z grows with x, u with x, v with y."""
    corners = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], dtype=np.float32)
    vertices = np.column_stack([corners, height + 0.5 * corners[:, 0]]).astype(np.float32)
    return FaceScan(vertices, FACES, corners / 10)


# ------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("decimals", [1, 3, 4])
def test_numbers_read_back_as_rounded(decimals):
    rows = np.random.default_rng(0).normal(0, 90, (200, 3)).astype(np.float32)
    text = number_lines(rows, decimals, b",\n").decode()
    back = np.array([[float(word) for word in line.rstrip(",").split()] for line in text.splitlines()])
    np.testing.assert_allclose(back, rows, atol=0.51 * 10.0**-decimals)


def test_numbers_look_as_a_person_writes_them():
    assert number_lines(VERTICES, 3, b"\n").decode().splitlines()[1:3] == ["-1.500 2.000 3.000", "100.123 0.000 12.000"]
    assert number_lines(VERTICES[:1], 1, b"\r\n", b"v ", b", ") == b"v 0.0, 0.0, 0.0\r\n"


def test_whole_numbers_may_have_a_separator_of_their_own():
    assert index_lines(np.array([[0, 10, 2], [345, 1, 3]]), b", -1,\n") == b"0, 10, 2, -1,\n345, 1, 3, -1,\n"
    assert index_lines(np.array([[1, 2, 3]]), b"\n", b"f ", (b"/", b" ")) == b"f 1/2 3\n"


@pytest.mark.parametrize(("newline", "between"), [(b"\n", b" "), (b"\r\n", b", ")])
def test_wrl_is_one_well_formed_face_set(newline, between):
    raw = wrl_bytes(FaceScan(VERTICES, FACES, COORDINATES), "007.jpg", newline, between)
    assert raw.count(newline) == raw.count(b"\n")
    text = raw.decode()
    assert text.startswith("#VRML V2.0 utf8")
    assert text.count("IndexedFaceSet") == 1
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]") == 4
    assert 'url "007.jpg"' in text
    lists = dict(re.findall(r"(coordIndex|texCoordIndex) \[([^\]]*)\]", text))
    assert lists["coordIndex"] == lists["texCoordIndex"]
    indices = np.array([int(word) for word in lists["coordIndex"].replace(",", " ").split()]).reshape(-1, 4)
    np.testing.assert_array_equal(indices[:, :3], FACES)
    assert (indices[:, 3] == -1).all()


def test_obj_faces_are_written_with_and_without_texture_indices():
    scan = FaceScan(VERTICES, FACES, COORDINATES)
    with_indices = obj_bytes(scan, "a.mtl").decode().splitlines()
    assert with_indices[-2:] == ["f 1/1 2/2 3/3", "f 3/3 2/2 4/4"]
    assert obj_bytes(scan, "a.mtl", indexed=False).decode().splitlines()[-2:] == ["f 1 2 3", "f 3 2 4"]
    assert with_indices[0] == "mtllib a.mtl"
    assert b"map_Kd a.jpg" in mtl_bytes("a.jpg")


def test_a_scan_that_lacks_what_a_format_needs_is_refused():
    bare = FaceScan(VERTICES, FACES)
    for write in (lambda: wrl_bytes(bare, "0.jpg"), lambda: obj_bytes(bare, "0.mtl"), lambda: bnt_bytes(bare, "0.png")):
        with pytest.raises(ValueError, match="texture coordinates"):
            write()
    with pytest.raises(ValueError, match="landmarks"):
        bnd_bytes(bare)


def test_bnd_names_the_nearest_vertex():
    landmarks = np.repeat(VERTICES[[3]] + 0.1, 83, axis=0)
    rows = bnd_bytes(FaceScan(VERTICES, FACES, landmarks=landmarks)).decode().splitlines()
    assert len(rows) == 83
    assert rows[0] == "3 7.1000 8.1000 9.1000"


def test_tbnd_is_left_handed_and_says_what_was_not_tracked():
    landmarks = np.repeat(VERTICES[[3]], 83, axis=0)
    rows = tbnd_bytes(FaceScan(VERTICES, FACES, landmarks=landmarks), (1, 2, 3), untracked=[4]).decode().splitlines()
    assert len(rows) == 84
    assert [float(word) for word in rows[0].split()] == [1, 2, 3]
    assert [float(word) for word in rows[1].split()] == [7, 8, -9]
    assert [float(word) for word in rows[5].split()] == [0, 0, 0]


def test_named_landmarks_are_crlf_text_with_their_count():
    raw = lm_bytes({"Nose tip": np.array([1.0, 2.0, 3.0]), "Chin middle": np.zeros(3)})
    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert raw.startswith(b"2 landmarks:")


def test_a_plane_is_resampled_exactly():
    planes, seen = range_image(plane(), rows=5, columns=11)
    assert seen.all()
    np.testing.assert_allclose(planes[..., 0], np.tile(np.arange(11.0), (5, 1)), atol=1e-9)
    np.testing.assert_allclose(planes[..., 2], 0.5 * planes[..., 0], atol=1e-6)
    np.testing.assert_allclose(planes[..., 3], planes[..., 0] / 10, atol=1e-6)
    np.testing.assert_allclose(planes[..., 4], planes[..., 1] / 10, atol=1e-6)
    assert planes[0, 0, 1] < planes[-1, 0, 1]


@pytest.mark.parametrize("turned", [False, True])
def test_the_surface_nearer_to_the_camera_is_seen(turned):
    near, far = plane(20.0), plane(0.0)
    first, second = (far, near) if turned else (near, far)
    both = FaceScan(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.faces, second.faces + 4]),
        np.concatenate([first.texture_coordinates, second.texture_coordinates]),
    )
    planes, _ = range_image(both, 6, 6)
    assert planes[..., 2].min() >= 20


def test_bnt_has_its_header_its_background_and_v_from_the_top():
    triangle = FaceScan(plane().vertices[:3], FACES[:1], plane().texture_coordinates[:3])
    raw = bnt_bytes(triangle, "x.png", rows=4, columns=3)
    assert struct.unpack_from("<HHdH5sI", raw) == (4, 3, BNT_BACKGROUND, 5, b"x.png", 60)
    planes = np.frombuffer(raw, "<f8", offset=struct.calcsize("<HHdH5sI")).reshape(5, 4, 3)
    assert (planes[:3, -1, -1] == BNT_BACKGROUND).all()
    assert np.isfinite(planes[3:]).all()
    assert planes[4, 0, 0] == 1.0
    assert planes[4, -1, 0] == pytest.approx(0.0)


# ------------------------------------------------------------------------------------------------ layouts


def test_every_layout_has_the_corpus_that_reads_it():
    assert set(LAYOUTS) == set(CORPORA) - {"casme3"}
    with pytest.raises(ValueError, match=r"'cave'.*bosphorus"):
        layout_named("cave")


# ------------------------------------------------------------------------------------------------ there and back

RECIPE = CorpusRecipe(subjects=1, performances=PerformanceOptions(frames=9, micro=1, micro_fps=20.0), seed=3)
TAKE = Take(0, EXPRESSIONS.index("happiness"))
"""Its apex is in every layout, under the name below."""
APEX = {
    "bu3dfe": ("F0001/HA04", None),
    "bu4dfe": ("F001/Happy", "apex"),
    "bosphorus": ("bs000/E_HAPPY_0", None),
    "bp4d": ("F001/T1", "apex"),
    "fourdme": ("s01/s01_happiness", "apex"),
    "folder": ("F001/happiness", "apex"),
}
TOLERANCE = {"bu3dfe": 2.5, "bu4dfe": 0.0, "bosphorus": 6.0, "bp4d": 0.0, "fourdme": 0.0, "folder": 2.5}
"""Mean absolute difference of 8-bit pixels on the face, all views, from the same scan in BU-4DFE's files and its pose.

Measured: texture 1.5, 0, 2.5, 0, 0, 1.5; normals 0, 0, 5.1, 0, 0, 0. Pictures of BU-3DFE and the folder are not JPEG,
BU-4DFE's are; Bosphorus has a resampled surface.
"""
POSED_TOLERANCE = 18.0
"""The same where each layout is aligned by itself.

Poses are detected in the first frame of a take, which is another scan in another layout: BU-3DFE has single scans, the
others takes. Measured: at most 14.8 (BU-3DFE, the detected pose of an apex scan against that of a neutral frame). With
poses by landmarks it was 6.8.
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    store = ContentStore(tmp_path_factory.mktemp("layouts"))
    return {name: export_layout(RECIPE, name, store) for name in LAYOUTS}


@pytest.fixture(scope="module")
def ingested(written, tmp_path_factory):
    store = ContentStore(tmp_path_factory.mktemp("ingested"))
    options = IngestOptions()
    return {name: ingest_source(open_source(receipt), options, store) for name, receipt in written.items()}


def true_scan(name: str, row: dict) -> FaceScan:
    """The scan that a row of a table was written from."""
    performance = performance_of(RECIPE, TAKE)
    frame = performance.apex if APEX[name][1] is None else row["frame"]
    return as_written(scan_frame(RECIPE, TAKE, frame))


def apex_row(name: str, table: pd.DataFrame) -> dict:
    sequence, frame = APEX[name]
    number = 0 if frame is None else performance_of(RECIPE, TAKE).apex
    return table[(table["sequence"] == sequence) & (table["frame"] == number)].iloc[0].to_dict()


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_corpus_of_the_same_name_finds_what_was_written(written, name):
    receipt = written[name]
    table = open_source(receipt).table()
    truth = pd.read_parquet(Path(receipt["root"]) / "actions.parquet")
    keys = ["sequence", "frame", "subject"]
    pd.testing.assert_frame_equal(table[keys], truth[keys].sort_values(keys, ignore_index=True), check_dtype=False)
    assert len(table) == receipt["scans"]
    assert table["texture"].notna().all()
    assert table.loc[table["expression"].notna(), "label"].notna().all()
    assert set(table["gender"]) == {"F"}
    lacking = completeness(corpus_named(name, receipt["pattern"]), table).set_index("item")["missing"]
    assert lacking["frames of these sequences"] == (6 if name == "bp4d" else 0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_reader_gives_back_the_scan(written, name):
    source = open_source(written[name])
    row = apex_row(name, source.table())
    scan, true = source.read(row), true_scan(name, row)
    assert scan.texture.shape == true.texture.shape
    assert np.abs(scan.texture.astype(int) - true.texture).mean() < (
        4 if name in ("bu4dfe", "bp4d", "fourdme") else 0.01
    )
    tracked = ~np.isnan(scan.landmarks[:, 0])
    assert tracked.sum() == {"bosphorus": 22, "bp4d": 81}.get(name, 83)
    np.testing.assert_allclose(scan.landmarks[tracked], true.landmarks[tracked], atol=1e-3)
    if name == "bosphorus":
        return
    np.testing.assert_allclose(scan.vertices, true.vertices, atol=1e-3)
    np.testing.assert_array_equal(scan.faces, true.faces)
    np.testing.assert_allclose(scan.texture_coordinates, true.texture_coordinates, atol=1e-4)


def test_a_range_image_lies_on_the_mesh_it_was_made_of(written):
    source = open_source(written["bosphorus"])
    row = apex_row("bosphorus", source.table())
    scan, true = source.read(row), true_scan("bosphorus", row)
    assert len(scan.vertices) > 10_000
    again, seen = range_image(true, 233, 186)
    assert len(scan.vertices) == pytest.approx(seen.sum(), rel=1e-3)  # rounding moves a cell or two across the edge
    apart, nearest = cKDTree(again[seen][:, :3]).query(scan.vertices)
    assert np.quantile(apart, 0.999) < 0.01
    coordinates = again[seen][:, 3:][nearest[apart < 0.01]]
    np.testing.assert_allclose(scan.texture_coordinates[apart < 0.01], coordinates, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_ingest_takes_every_layout_whole(ingested, written, name):
    manifest = ingested[name].manifest
    assert len(manifest) == written[name]["scans"]
    assert (ingested[name].report["status"] != "refused").all()


@pytest.mark.slow
@pytest.mark.parametrize("posed", [False, True])
def test_the_same_face_gives_the_same_views_in_every_layout(ingested, written, posed):
    rows = {name: apex_row(name, ingested[name].manifest) for name in written}
    pictures = {}
    with contextlib.closing(Renderer(RenderOptions(size=96))) as renderer:
        for name, receipt in written.items():
            row = rows[name] if posed else rows[name] | {"pose": rows["bu4dfe"]["pose"]}
            pictures[name] = renderer.render(load_canonical_scan(open_source(receipt), row))
    for kind, reference in pictures["bu4dfe"].items():
        on_face = np.ptp(reference.astype(int), axis=-1) > 0
        for name, found in pictures.items():
            difference = np.abs(found[kind].astype(int) - reference)[on_face].mean()
            assert difference <= (POSED_TOLERANCE if posed else TOLERANCE[name]), f"{name}, {kind}: {difference:.2f}"


def test_a_layout_keeps_classes_times_and_levels(written):
    tables = {name: open_source(receipt).table() for name, receipt in written.items()}
    micro = performance_of(RECIPE, Take(0, 6))
    row = tables["fourdme"].set_index("sequence").loc["s01/s01_micro-1"].iloc[0]
    assert row["label"] == "+".join(sorted(micro.labels))
    assert row[["onset", "apex", "offset"]].tolist() == [micro.onset, micro.apex, micro.offset]
    assert tables["fourdme"]["expression"].isna().all()
    levels = tables["bu3dfe"]["level"].value_counts()
    assert levels[[0, 4]].tolist() == [1, 6]
    assert max(levels.get(level, 0) for level in (1, 2, 3)) <= 6
    assert "AU12" in tables["bp4d"].query("sequence == 'F001/T1'")["actions"].str.cat(sep="+")
    assert written["bosphorus"]["left_out"] == 1


def test_bp4d_codes_the_actions_of_each_frame(written):
    table = open_source(written["bp4d"]).table().query("sequence == 'F001/T1'").set_index("frame")
    track, _ = perform(RECIPE, TAKE)
    assert len({coded_units(weights) for weights in track}) > 2
    for frame, coded in table["actions"].items():
        assert coded == "+".join(f"AU{number}" for number in coded_units(track[frame]) if number in BP4D_CODED)


@pytest.mark.parametrize("frames", [3, 6, 12, None])
def test_the_levels_of_a_static_layout_are_those_of_the_expression(frames):
    recipe = CorpusRecipe(subjects=8, performances=PerformanceOptions(frames=frames), seed=3)
    for person in range(8):
        performance = performance_of(recipe, Take(person, person % 6))
        found = rising_frames(performance, 4)
        shown = envelopes(performance, np.zeros(len(ACTION_UNITS)))[:, 0]
        assert found[4] == performance.apex
        assert list(found.values()) == sorted(set(found.values()))
        for level, frame in found.items():
            assert level == 4 or abs(shown[frame] - level / 4) <= 0.125
        assert frames is not None or list(found) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("layout", "sequence", "posed"),
    [("bu3dfe", "F0001/NE00", "F0001/HA04"), ("bosphorus", "bs000/N_N_0", "bs000/E_HAPPY_0")],
)
def test_the_face_at_rest_is_neutral_in_the_truth_too(written, layout, sequence, posed):
    root = Path(written[layout]["root"])
    attributes = pd.read_parquet(root / "attributes.parquet").set_index("sequence")
    actions = pd.read_parquet(root / "actions.parquet").set_index("sequence")
    assert attributes.loc[sequence, ["label", "labels", "intensity"]].tolist() == ["neutral", "", 0.0]
    assert pd.isna(attributes.loc[sequence, "expression"])
    assert pd.isna(actions.loc[sequence, "expression"])
    assert attributes.loc[posed, "expression"] == actions.loc[posed, "expression"] == "happiness"


@pytest.mark.slow
def test_quirks_are_in_the_files(tmp_path):
    recipe = CorpusRecipe(subjects=5, performances=PerformanceOptions(frames=4), seed=5)
    store = ContentStore(tmp_path)
    roots = {name: Path(export_layout(recipe, name, store)["root"]) for name in ("bu3dfe", "bosphorus", "bp4d")}
    wrl = [file.read_bytes() for file in sorted(roots["bu3dfe"].rglob("*_F3D.wrl"))]
    assert {b"\r\n" in raw for raw in wrl} == {True, False}
    pictures = {file.name[-8:] for file in roots["bu3dfe"].rglob("*.*") if file.suffix in (".bmp", ".png")}
    assert pictures == {"_F2D.bmp", "_F3D.png"}
    named = [file.read_bytes() for file in roots["bosphorus"].rglob("*.lm3")]
    assert {b"Chin middle" in raw for raw in named} == {True, False}
    meshes = sorted(roots["bp4d"].rglob("*.obj"))
    assert {len(file.stem) for file in meshes} == {3, 4}
    assert {b"/" in file.read_bytes().split(b"\nf ")[1] for file in meshes} == {True, False}
    assert b",1," in (roots["bp4d"] / "AUCoding/AU_OCC/F001_T1.csv").read_bytes()


def test_a_corpus_that_was_exported_is_not_exported_again(tmp_path, monkeypatch):
    recipe, store = CorpusRecipe(subjects=2, performances=PerformanceOptions(frames=3)), ContentStore(tmp_path)
    first = export_layout(recipe, "bosphorus", store)
    monkeypatch.setattr(generate, "_write_layout", lambda *_, **__: pytest.fail("written again"))
    assert export_layout(recipe, "bosphorus", store) == first
    assert SubjectSplit.from_dict(first["split"]).train[0] in ("bs000", "bs001")
    assert {name for fold in first["folds"] for name in fold} == {"bs000", "bs001"}
    monkeypatch.setattr(corpus, "code_version", lambda module: "other code")
    with pytest.raises(pytest.fail.Exception):
        export_layout(recipe, "bosphorus", store)


def test_a_layout_without_a_place_for_what_is_performed_is_refused(tmp_path):
    recipe = CorpusRecipe(subjects=1, performances=PerformanceOptions(macro=0, micro=1, micro_fps=10.0))
    with pytest.raises(ValueError, match="bosphorus has no place"):
        export_layout(recipe, "bosphorus", ContentStore(tmp_path))
    assert not any(tmp_path.iterdir())


def test_files_and_stream_say_the_same_of_micro_expressions(tmp_path):
    store = ContentStore(tmp_path)
    tables = [open_source(generate_corpus(RECIPE, store, raw_files=raw)).table() for raw in (True, False)]
    made_of_files = ["scan", "texture", "landmark_file"]
    pd.testing.assert_frame_equal(*(table.drop(columns=made_of_files) for table in tables))
