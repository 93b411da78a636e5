"""Heads and scanners of many kinds: emotion tables, shape, expression basis, hair, glasses, meshes, textures."""

from dataclasses import replace

import numpy as np
import pytest

from affect4d.pseudo_labels.action_units_and_emotion_prototypes import EMOTION_ACTION_UNITS
from affect4d.scans.expression import EXPRESSIONS
from affect4d.store import ContentStore
from affect4d.synthetic import generate_scans as corpus
from affect4d.synthetic.action_units import ACTION_UNITS, BILATERAL, CENTRAL, published_tables, weights_of
from affect4d.synthetic.face_model_and_skin_coordinates import front_of_eyeball, mouth_grid
from affect4d.synthetic.frozen_benchmarks import benchmark
from affect4d.synthetic.generate_scans import Take, scan_frame
from affect4d.synthetic.head_variety import Glasses, HeadVariety, back_of_head, join_pieces, vary_head
from affect4d.synthetic.procedural_face import ProceduralFace
from affect4d.synthetic.recipe import (
    ActionUnitOptions,
    CorpusRecipe,
    PerformanceOptions,
    ScannerOptions,
    VarietyOptions,
)
from affect4d.synthetic.scanner_variety import (
    draw_scanner_variety,
    refine,
    resample,
    scan_mesh,
    with_texture_quality,
    without_inner_parts,
)
from affect4d.synthetic.subject_appearance_and_expressive_style import draw_style
from affect4d.synthetic.write_corpus import export_layout, generate_corpus

EVERYTHING = VarietyOptions(
    tables="published", shape=1.0, expression=1.0, worn=1.0, whole_head=0.5, mesh=1.0, texture=1.0, noise=1.0
)
PLAIN = CorpusRecipe(subjects=4, performances=PerformanceOptions(frames=3), seed=5)
VARIED = PLAIN.model_copy(update={"variety": EVERYTHING})
NOTHING_OWN = HeadVariety(seed=1, shape=0.0, expression=0.0, hair_mm=0.0, beard_mm=0.0, glasses=None)
SHOWN = weights_of({"AU12": 0.8, "AU6": 0.6, "AU25": 0.5})


@pytest.fixture(scope="module")
def surfaces():
    """A smile and the same mesh without it."""
    face = ProceduralFace()
    shape = np.zeros(face.shape_count)
    return face.surface(shape, SHOWN, 0), face.surface(shape, np.zeros(len(ACTION_UNITS)), 0)


def scanner(**values):
    return replace(draw_scanner_variety(VarietyOptions(), np.random.default_rng(0)), **values)


def units_of(variant):
    return {*variant.units, *variant.optional}


def test_variety_that_is_off_changes_neither_digest_nor_scan():
    assert "variety" not in PLAIN.describe()
    assert VARIED.digest != PLAIN.digest
    scan = scan_frame(PLAIN, Take(0, 3), 1)
    published = scan_frame(PLAIN.model_copy(update={"variety": VarietyOptions(tables="published")}), Take(0, 3), 0)
    assert scan.texture is not None
    assert len(scan.vertices) < 2000
    np.testing.assert_array_equal(published.vertices, scan_frame(PLAIN, Take(0, 3), 0).vertices)  # neutral frame


@pytest.mark.parametrize("name", ["open-4dfer-varied", "open-4dfer-varied-ict"])
def test_the_varied_benchmarks_vary_everything(name):
    recipe = benchmark(name).recipe
    assert recipe.subjects >= 300
    assert recipe.variety.changes_geometry
    assert recipe.variety.tables == "published"


def test_published_tables_show_all_six_by_units_that_exist():
    tables = published_tables()
    assert len(tables) >= 5
    for source, table in tables.items():
        assert set(table) == set(EXPRESSIONS), source
        for variant in (one for variants in table.values() for one in variants):
            assert units_of(variant) <= {*BILATERAL, *CENTRAL}
            assert all(0 < weight <= 1.2 for weight in variant.units.values())
            assert all(0 < chance < 1 for _, chance in variant.optional.values())


def test_published_tables_are_mostly_other_than_the_rules_of_the_pseudo_labels():
    rules = {name: set(units) for name, units in EMOTION_ACTION_UNITS.items()}
    variants = [(name, v) for table in published_tables().values() for name in table for v in table[name]]
    same = [name for name, variant in variants if units_of(variant) == rules[name]]
    assert len(same) < 0.2 * len(variants)


def test_a_subject_follows_one_variant_of_one_source():
    styles = [draw_style(np.random.default_rng(seed), ActionUnitOptions(), "published") for seed in range(40)]
    for style in styles:
        sources = [
            all(any(_shows(style.apex[place], one) for one in table[name]) for place, name in enumerate(EXPRESSIONS))
            for table in published_tables().values()
        ]
        assert any(sources)
    smiles = np.array([style.posed("happiness") > 0 for style in styles])
    assert 0.2 < smiles[:, ACTION_UNITS.index("AU6_L")].mean() < 0.95
    assert smiles[:, ACTION_UNITS.index("AU9_L")].any()


def _shows(apex, variant):
    shown = apex > 0
    needed, possible = (weights_of(dict.fromkeys(units, 1.0)) > 0 for units in (variant.units, units_of(variant)))
    return shown[needed].all() and not shown[~possible].any()


def test_without_a_subjects_own_nothing_moves(surfaces):
    varied = vary_head(*surfaces, NOTHING_OWN)
    np.testing.assert_allclose(varied.vertices, surfaces[0].vertices, atol=1e-4)
    np.testing.assert_allclose(varied.landmarks, surfaces[0].landmarks, atol=1e-4)


def test_shape_and_expression_vary_smoothly_and_take_landmarks_along(surfaces):
    moved, neutral = surfaces
    varied = vary_head(moved, neutral, replace(NOTHING_OWN, shape=1.0, expression=1.0))
    change = varied.vertices - moved.vertices
    assert 1.5 < np.sqrt((change**2).sum(axis=1).mean()) < 9.0
    edges = moved.faces[:, :2]
    lengths = [np.linalg.norm(np.diff(one.vertices[edges], axis=1)[:, 0], axis=1) for one in (moved, varied)]
    assert np.quantile(lengths[1] / lengths[0], 0.99) < 1.8
    nose = np.linalg.norm(moved.vertices - moved.landmarks[47], axis=1).argmin()
    np.testing.assert_allclose(varied.landmarks[47] - moved.landmarks[47], change[nose], atol=0.5)


def test_a_neutral_face_stays_the_same_whatever_the_expression_basis(surfaces):
    _, neutral = surfaces
    varied = vary_head(neutral, neutral, replace(NOTHING_OWN, expression=1.0))
    np.testing.assert_allclose(varied.vertices, neutral.vertices, atol=1e-4)


def test_hair_and_beard_grow_outwards_and_spare_eyes_and_lips(surfaces):
    moved, neutral = surfaces
    for hidden, place in (("hair_mm", slice(95, 105)), ("beard_mm", slice(-80, -50))):
        grown = vary_head(moved, neutral, replace(NOTHING_OWN, **{hidden: 6.0}))
        distance = np.linalg.norm(grown.vertices - moved.vertices, axis=1)
        y = neutral.vertices[:, 1]
        covered = (y > place.start) & (y < place.stop) & (np.abs(neutral.vertices[:, 0]) < 25)
        free = (np.abs(y - 38) < 8) & (np.abs(neutral.vertices[:, 0]) < 40)
        assert (np.median(distance[covered]) > 2.0) == bool(covered.any())
        assert distance[free].max() < 0.5
        eyes = 2 * len(front_of_eyeball()[0]) + len(mouth_grid()[0])
        assert distance[-eyes:].max() < 0.5


def test_glasses_stand_before_the_skin_and_touch_it_nowhere(surfaces):
    moved, neutral = surfaces
    worn = vary_head(moved, neutral, replace(NOTHING_OWN, glasses=Glasses(24.0, 17.0, 1.5, 2.5)))
    count = len(moved.vertices)
    frame = worn.vertices[count:]
    assert len(frame) > 300
    front = frame[frame[:, 2] > -45.0]
    distances = np.linalg.norm(front[:, None] - moved.vertices[None], axis=2).min(axis=1)
    assert distances.min() > 0.5
    assert np.median(distances) < 25.0
    assert np.abs(frame[:, 0]).max() < 95.0
    np.testing.assert_array_equal(worn.vertices[:count], vary_head(moved, neutral, NOTHING_OWN).vertices)


def test_a_whole_head_reaches_back_and_down_and_faces_outwards(surfaces):
    moved, neutral = surfaces
    whole = join_pieces(moved, *back_of_head(moved, neutral))
    reach = whole.vertices.min(axis=0)
    assert reach[2] < -180.0
    assert reach[1] < -170.0
    assert whole.vertices[:, 1].max() > 105.0
    corners = whole.vertices[whole.faces[len(moved.faces) :]].astype(float)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middles = corners.mean(axis=1)
    skull = (middles[:, 1] > 40.0) & (np.abs(middles[:, 0]) < 60.0)
    outwards = ((middles - np.array([0.0, 5.0, -100.0])) * normals).sum(axis=1)
    assert (outwards[skull] > 0).mean() > 0.95


def test_refined_meshes_have_four_times_the_triangles_and_the_same_surface(surfaces):
    moved, _ = surfaces
    fine = refine(moved)
    assert len(fine.faces) == 4 * len(moved.faces)
    np.testing.assert_array_equal(fine.vertices[: len(moved.vertices)], moved.vertices)
    areas = [_area(one) for one in (moved, fine)]
    assert 0.98 < areas[1] / areas[0] < 1.1
    assert fine.faces.max() < len(fine.vertices)


def _area(surface):
    a, b, c = (surface.vertices[surface.faces[:, corner]].astype(float) for corner in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()


def test_a_resampled_mesh_is_coarse_valid_and_keeps_eyes_apart_from_skin(surfaces):
    moved, _ = surfaces
    coarse = resample(refine(moved), 4.0)
    assert len(coarse.vertices) < 0.7 * len(refine(moved).vertices)
    ordered = np.sort(coarse.faces, axis=1)
    assert len(np.unique(ordered, axis=0)) == len(ordered)
    assert (np.diff(ordered, axis=1) > 0).all()
    skin = coarse.texture_coordinates[:, 1] > 0.2
    assert not (skin[coarse.faces].any(axis=1) & ~skin[coarse.faces].all(axis=1)).any()


def test_scanners_leave_out_eyes_teeth_and_all_beyond_their_reach(surfaces):
    moved, _ = surfaces
    blind = without_inner_parts(moved, scanner(eyeballs=False, teeth=False))
    eyes, mouth = 2 * len(front_of_eyeball()[0]), len(mouth_grid()[0])
    assert blind.faces.max() < len(moved.vertices) - eyes - mouth
    near = scan_mesh(moved, scanner(reach=80.0, white_mm=0.0), np.random.default_rng(0))
    assert np.linalg.norm(near.vertices[np.unique(near.faces)], axis=1).max() < 80.0


def test_white_noise_has_the_given_size(surfaces):
    moved, _ = surfaces
    noisy = scan_mesh(moved, scanner(white_mm=0.5), np.random.default_rng(0))
    rms = np.sqrt(((noisy.vertices - moved.vertices) ** 2).sum(axis=1).mean())
    assert rms == pytest.approx(0.5, rel=0.05)


def test_textures_are_full_coarse_grey_or_none():
    scan = scan_frame(PLAIN, Take(0, 0), 0)
    assert with_texture_quality(scan, "full") is scan
    poor, grey, none = (with_texture_quality(scan, quality) for quality in ("poor", "grey", "none"))
    assert poor.texture.shape == scan.texture.shape
    assert len(np.unique(poor.texture)) <= 16
    assert (grey.texture.std(axis=2) == 0).all()
    assert none.texture is None
    assert none.texture_coordinates is None


def test_takes_of_a_varied_corpus_differ_in_kind_and_frames_of_one_do_not():
    takes = [corpus.scanner_variety(VARIED, Take(subject, index)) for subject in range(4) for index in range(6)]
    for name in ("whole_head", "eyeballs", "teeth", "refined", "texture"):
        assert len({getattr(one, name) for one in takes}) > 1, name
    attributes = corpus.take_attributes(VARIED, Take(0, 0))
    assert {"glasses", "hair_mm", "whole_head", "texture_quality"} <= set(attributes)
    assert "glasses" not in corpus.take_attributes(PLAIN, Take(0, 0))


def test_a_varied_scan_is_a_function_of_recipe_take_and_frame():
    first = scan_frame(VARIED, Take(1, 2), 1)
    corpus.head_variety.cache_clear()
    corpus.scanner_variety.cache_clear()
    again = scan_frame(VARIED, Take(1, 2), 1)
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert np.isfinite(first.vertices).all()


@pytest.mark.parametrize("take", [Take(0, 0), Take(1, 3), Take(2, 5), Take(3, 1)])
def test_landmarks_lie_on_the_varied_skin(take):
    sensor = ScannerOptions(noise_mm=0, landmark_error_mm=0, holes=0, spikes=0, fringe=0)
    variety = EVERYTHING.model_copy(update={"worn": 0.0, "noise": 0.0, "mesh": 0.0})
    scan = scan_frame(VARIED.model_copy(update={"sensor": sensor, "variety": variety}), take, 1)
    distances = np.linalg.norm(scan.landmarks[:, None] - scan.vertices[None], axis=2).min(axis=1)
    assert np.median(distances) < 2.0
    assert distances.max() < 7.0


def test_raw_files_of_scans_without_texture_are_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"raw_files=false"):
        generate_corpus(VARIED, ContentStore(tmp_path))
    with pytest.raises(ValueError, match=r"texture: 0"):
        export_layout(VARIED, "bosphorus", ContentStore(tmp_path))
