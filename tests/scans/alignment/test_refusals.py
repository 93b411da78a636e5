"""Scans of anything but one face: refused, or doubted by a finding."""

import dataclasses

import numpy as np
import pytest

from affect4d.scans.alignment import align
from affect4d.scans.geometry import apply_pose, keep_triangles
from affect4d.scans.scan import FaceScan


def surface(points):
    """A grid of points [rows, columns, 3] as a scan."""
    rows, columns = points.shape[:2]
    corner = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return FaceScan(points.reshape(-1, 3).astype(np.float32), faces)


def round_object(radius, height):
    turn, rise = np.meshgrid(np.linspace(-np.pi, np.pi, 60), np.linspace(-1.5, 1.5, 40))
    return surface(np.stack([radius(rise) * np.sin(turn), height(rise), radius(rise) * np.cos(turn)], axis=-1))


def torso():
    x, y = np.meshgrid(np.arange(-220, 220, 10.0), np.arange(-330, -100, 10.0))
    return surface(
        np.stack([x, y - 0.25 * np.abs(x), 40 * np.exp(-(((y + 260) / 120) ** 2)) - 70 * (x / 220) ** 2], -1)
    )


def sheet():
    x, y = np.meshgrid(np.arange(-100, 100, 5.0), np.arange(-120, 120, 5.0))
    return surface(np.stack([x, y, np.sin(x / 20)], -1))


OBJECTS = {
    "sphere": lambda: round_object(lambda rise: 90 * np.cos(rise), lambda rise: 90 * np.sin(rise)),
    "cup": lambda: round_object(lambda rise: 45 + 3 * rise, lambda rise: 50 * rise),
    "torso": torso,
    "sheet": sheet,
}


def refusal_or_doubt(scan):
    """What is told of a scan that is refused or has a low confidence; empty where it is believed."""
    try:
        alignment = align(scan)
    except ValueError as error:
        return str(error)
    return "" if alignment.confidence >= 0.5 else "; ".join(alignment.findings.values())


@pytest.mark.parametrize("kind", OBJECTS)
def test_what_is_no_face_is_refused_or_doubted(kind):
    told = refusal_or_doubt(OBJECTS[kind]())
    assert "no face" in told or "may be wrong" in told


@pytest.mark.parametrize(("factor", "words"), [(0.3, "times as large"), (10 / 0.9 * 1.1, "times as large|no face in")])
def test_a_face_of_5_cm_or_2_m_is_refused(face, factor, words):
    scan = face(2)
    with pytest.raises(ValueError, match=words):
        align(FaceScan(scan.vertices * np.float32(factor), scan.faces))


def test_half_a_face_is_told_to_be_incomplete(face):
    scan = dataclasses.replace(face(1), landmarks=None)
    half = keep_triangles(scan, (scan.vertices[:, 0] > -5)[scan.faces].all(axis=1))
    found = align(half).findings
    assert {"incomplete", "low-confidence"} & set(found)


@pytest.mark.parametrize("away", [(180, 0, 0), (-260, 30, -40)])
def test_two_faces_are_refused(face, motion, away):
    first, second = face(1), face(4)
    vertices = np.concatenate([first.vertices, apply_pose(second.vertices, motion(shift=away))])
    both = FaceScan(vertices, np.concatenate([first.faces, second.faces + np.int32(len(first.vertices))]))
    with pytest.raises(ValueError, match=r"two faces, some \d+ mm apart"):
        align(both)


def test_shoulders_are_no_second_face(face, shoulders):
    scan = face(3)
    body = torso()
    below = body.vertices + np.float32([0, 0, -120])
    joined = FaceScan(
        np.concatenate([scan.vertices, below]),
        np.concatenate([scan.faces, body.faces + np.int32(len(scan.vertices))]),
    )
    assert align(joined).method == "detection"
