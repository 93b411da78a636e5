"""What a scanner, its landmark tracker and the light of a room add, and what is remembered of it."""

import numpy as np
import pytest
from pydantic import ValidationError

from affect4d.synthetic.action_units import ACTION_UNITS
from affect4d.synthetic.face_model_and_skin_coordinates import DENSITIES, HEIGHT, STRIP, WIDTH
from affect4d.synthetic.procedural_face import ProceduralFace
from affect4d.synthetic.recipe import ScannerOptions
from affect4d.synthetic.scanner import (
    cover_texture,
    draw_conditions,
    draw_hair,
    draw_lights,
    hair_relief,
    light_texture,
    scan_surface,
    smooth_field,
    spikes,
    surface_noise,
)

FACE = ProceduralFace()
NEUTRAL = np.zeros(len(ACTION_UNITS))
TIMES = np.linspace(0.0, 4.0, 3)
SURFACE = FACE.surface(np.zeros(FACE.shape_count), NEUTRAL, 0)
TEXTURE = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
STILL = {"pose_jitter_deg": 0, "pose_jitter_mm": 0, "pose_drift_deg": 0, "pose_drift_mm": 0}
CLEAN = {**STILL, "noise_mm": 0, "landmark_error_mm": 0, "holes": 0, "spikes": 0, "fringe": 0}


def scanned(count: int = 1, **changes):
    options, rng = ScannerOptions.model_validate({**CLEAN, **changes}), np.random.default_rng(0)
    return [scan_surface(SURFACE, TEXTURE, draw_conditions(TIMES, rng, options), 1, rng, options) for _ in range(count)]


def test_a_perfect_scanner_changes_nothing():
    scan = scanned()[0]
    np.testing.assert_allclose(scan.vertices, SURFACE.vertices, atol=1e-4)
    np.testing.assert_allclose(scan.landmarks, SURFACE.landmarks, atol=1e-4)
    np.testing.assert_array_equal(scan.faces, SURFACE.faces)
    np.testing.assert_array_equal(scan.texture, TEXTURE)


@pytest.mark.parametrize(("lasting", "own"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.25), (0.0, 0.0)])
def test_landmark_error_has_the_promised_mean(lasting, own):
    scans = scanned(80, landmark_error_mm=1.3, landmark_bias=lasting, landmark_own=own)
    errors = [np.linalg.norm(scan.landmarks - SURFACE.landmarks, axis=1).mean() for scan in scans]
    assert np.mean(errors) == pytest.approx(1.3, rel=0.1)


def test_a_misplaced_face_is_misplaced_as_one_and_moves_as_before():
    options = ScannerOptions.model_validate({**CLEAN, "residue_deg": 3.0, "residue_mm": 4.0})
    conditions = draw_conditions(TIMES, np.random.default_rng(0), options)
    opened = FACE.surface(np.zeros(FACE.shape_count), np.where(np.array(ACTION_UNITS) == "AU26", 1.0, 0.0), 0)
    still, moved = (
        scan_surface(surface, TEXTURE, conditions, frame, np.random.default_rng(1), options)
        for frame, surface in enumerate((SURFACE, opened))
    )
    assert np.linalg.norm(still.landmarks - SURFACE.landmarks, axis=1).mean() > 1.0
    assert spread(still.landmarks) == pytest.approx(spread(SURFACE.landmarks), rel=1e-5)
    np.testing.assert_allclose(still.vertices, SURFACE.vertices, atol=1e-4)
    shown, true = (np.linalg.norm(after - before, axis=1) for before, after in (
        (still.landmarks, moved.landmarks), (SURFACE.landmarks, opened.landmarks)))  # fmt: skip
    np.testing.assert_allclose(shown, true, atol=1e-3)


def light(lamps: int, strength: float, colour: float, drift: float) -> ScannerOptions:
    return ScannerOptions(lamps=lamps, light_strength=strength, light_colour=colour, light_drift=drift)


def spread(points) -> float:
    return float(np.linalg.norm(points - points.mean(axis=0), axis=1).sum())


def test_a_head_can_be_larger():
    larger = SURFACE.scaled(1.1)
    np.testing.assert_allclose(larger.vertices, 1.1 * SURFACE.vertices, rtol=1e-5)
    assert larger.vertices.dtype == SURFACE.vertices.dtype
    assert SURFACE.scaled(1.0) is SURFACE


def test_neighbouring_landmarks_err_together_as_far_as_asked():
    def agreement(own: float) -> float:
        scans = scanned(60, landmark_error_mm=1.3, landmark_bias=0.0, landmark_own=own)
        errors = np.stack([scan.landmarks - SURFACE.landmarks for scan in scans])
        return float(np.corrcoef(errors[:, 61].ravel(), errors[:, 62].ravel())[0, 1])

    assert abs(agreement(1.0)) < 0.25
    assert agreement(0.0) > 0.8


def test_part_of_the_landmark_error_lasts():
    options = ScannerOptions.model_validate(
        {**CLEAN, "landmark_error_mm": 1.3, "landmark_bias": 1.0, "landmark_own": 0.0}
    )
    rng = np.random.default_rng(0)
    conditions = draw_conditions(TIMES, rng, options)
    one, other = (scan_surface(SURFACE, TEXTURE, conditions, frame, rng, options).landmarks for frame in (0, 2))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_surface_noise_has_the_promised_size_and_is_correlated():
    rng = np.random.default_rng(0)
    points = SURFACE.vertices.astype(np.float64)
    noise = np.stack([surface_noise(points, 0.3, 7.0, rng) for _ in range(30)])
    assert np.sqrt((noise**2).sum(axis=2).mean()) == pytest.approx(0.3, rel=0.1)
    near = np.argsort(np.linalg.norm(points - points[500], axis=1))[1]
    assert np.corrcoef(noise[:, 500].ravel(), noise[:, near].ravel())[0, 1] > 0.3


def test_noise_differs_between_takes():
    rng, options = np.random.default_rng(0), ScannerOptions(noise_mm=0.3, noise_spread=0.5)
    levels = [draw_conditions(TIMES, rng, options).noise_mm for _ in range(200)]
    assert np.exp(np.mean(np.log(levels))) == pytest.approx(0.3, rel=0.2)
    assert max(levels) > 2.0 * min(levels)


def test_a_smooth_field_is_smooth():
    line = np.stack([np.linspace(0, 100, 200), np.zeros(200), np.zeros(200)], axis=1)
    field = smooth_field(line, 30.0, np.random.default_rng(0))
    assert np.abs(np.diff(field, axis=0)).max() < 0.2


def test_spikes_are_few_and_long():
    thrown = spikes(np.zeros((1000, 3)), 5.0, np.random.default_rng(0))
    hit = np.abs(thrown[:, 2]) > 0
    assert 1 <= hit.sum() < 20
    assert np.abs(thrown[hit, 2]).min() >= 3.0


def test_holes_leave_a_sound_mesh():
    scans = scanned(5, holes=6.0)
    assert np.mean([len(scan.faces) for scan in scans]) < len(SURFACE.faces) - 5
    for scan in scans:
        assert np.array_equal(np.unique(scan.faces), np.arange(len(scan.vertices)))
        assert len(scan.texture_coordinates) == len(scan.vertices)


def test_hair_darkens_the_forehead_and_stands_off_it():
    hair = draw_hair(np.random.default_rng(1), 6)
    covered = cover_texture(np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8), hair)
    assert covered[: HEIGHT // 3].min() < 128
    assert covered[HEIGHT - STRIP :].min() == 255
    lifted = hair_relief(SURFACE.texture_coordinates, hair)
    assert lifted[:, 2].max() > 0.5
    assert SURFACE.vertices[lifted[:, 2] > 0.5, 1].min() > 30.0


def test_the_head_drifts_within_a_take():
    rng = np.random.default_rng(0)
    options = ScannerOptions(pose_drift_deg=2.0, pose_drift_mm=1.5)
    drifts = [np.ptp(draw_conditions(np.linspace(0.0, 4.0, 12), rng, options).turns, axis=0).max() for _ in range(50)]
    assert 2.0 < np.mean(drifts) < 10.0


def test_within_half_a_second_little_drifts():
    rng, options = np.random.default_rng(0), ScannerOptions(pose_drift_deg=2.0, light_drift=0.2)
    short, long = (
        [draw_conditions(times, rng, options) for _ in range(40)]
        for times in (np.arange(30) / 60.0, np.arange(100) / 25.0)
    )
    for measure in (lambda one: np.ptp(one.turns, axis=0).max(), lambda one: np.ptp(one.lights.exposure)):
        assert np.mean([measure(one) for one in short]) < 0.35 * np.mean([measure(one) for one in long])


def test_a_take_keeps_its_density_and_meshes_differ():
    rng, conditions = np.random.default_rng(0), draw_conditions(TIMES, np.random.default_rng(5), ScannerOptions())
    samplings = [conditions.sampling(rng) for _ in range(20)]
    assert {sampling % DENSITIES for sampling in samplings} == {conditions.density}
    assert len(set(samplings)) > 10
    counts = [len(FACE.surface(np.zeros(FACE.shape_count), NEUTRAL, density).vertices) for density in range(DENSITIES)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 1.15 * counts[-1]


def test_a_lamp_on_one_side_brightens_that_side():
    lights = draw_lights(TIMES[:1], np.random.default_rng(0), light(1, 1.0, 0.0, 0.0))
    left = type(lights)(np.array([[[0.9, 0.0, 0.1]]]), lights.colours, lights.ambient, lights.exposure)
    albedo = np.full((HEIGHT, WIDTH, 3), 0.5, dtype=np.float32)
    normals = FACE.normal_map(np.zeros(FACE.shape_count), NEUTRAL)
    picture = light_texture(albedo, normals, np.zeros((HEIGHT, WIDTH), np.float32), left, 0).astype(float)
    halves = picture[: HEIGHT - STRIP, : WIDTH // 2].mean(), picture[: HEIGHT - STRIP, WIDTH // 2 :].mean()
    assert halves[1] > 1.2 * halves[0]


def test_folds_are_dark_and_light_has_a_colour():
    lights = draw_lights(TIMES[:1], np.random.default_rng(3), light(3, 0.5, 0.2, 0.0))
    albedo = np.full((HEIGHT, WIDTH, 3), 0.4, dtype=np.float32)
    normals = np.zeros((48, 48, 3), np.float32) + np.array([0, 0, 1], np.float32)
    folds = np.zeros((HEIGHT, WIDTH), np.float32)
    folds[100:110] = 1.0
    picture = light_texture(albedo, normals, folds, lights, 0).astype(float)
    assert picture[105].mean() < 0.7 * picture[90].mean()
    assert np.ptp(picture[50, 80]) > 3.0


def test_light_shares_stay_within_what_was_asked():
    for seed in range(50):
        lights = draw_lights(TIMES, np.random.default_rng(seed), light(3, 0.7, 0.05, 0.1))
        shares = np.linalg.norm(lights.directions, axis=2).sum(axis=1)
        assert 0.3 < shares.min() <= shares.max() <= 0.7 + 1e-9
        assert 1 <= len(lights.colours) <= 3


def test_an_absurd_sensor_is_refused():
    with pytest.raises(ValidationError, match="noise_mm"):
        ScannerOptions(noise_mm=-1)
    with pytest.raises(ValidationError, match="lens"):
        ScannerOptions.model_validate({"lens": 1})
