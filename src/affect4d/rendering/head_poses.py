"""Rendered head-pose augmentation: the same take with the head turned a little, as alignment may leave it [ours]."""

import zlib
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from affect4d.rendering.options import RenderOptions
from affect4d.scans.scan import FaceScan


def pose_rotation(take: str, number: int, degrees: float) -> Float64[np.ndarray, "3 3"]:
    """Rotation of one head pose of a take: yaw and pitch, each normally distributed.

    Args:
        take: Distinguishes takes; all frames of one are turned alike, so that motion is unchanged.
        number: Of the pose, from 1 on; 0 is the canonical one.
    """
    if not number:
        return np.eye(3)
    yaw, pitch = np.radians(np.random.default_rng([number, zlib.crc32(take.encode())]).normal(0.0, degrees, 2))
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return np.asarray(about_x @ about_y)


def turn_head(face: FaceScan, take: str, number: int, options: RenderOptions) -> FaceScan:
    """A canonical face in a head pose, turned about the cameras' target."""
    pivot = np.array([0.0, options.centre_height, -options.pivot_depth])
    rotation = pose_rotation(take, number, options.head_pose_degrees)
    turned = (face.vertices - pivot) @ rotation.T + pivot
    return replace(face, vertices=turned.astype(np.float32), landmarks=None)
