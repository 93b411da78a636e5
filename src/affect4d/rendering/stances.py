"""The same face in another stance: the head turned a little, as alignment may have left it.

Alignment is never perfect, and what it leaves differs from take to take. Pictures of turned heads show a model what
that looks like in three dimensions, which no change of a finished picture does. [ours]
"""

import zlib
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from affect4d.rendering.cameras import RenderOptions
from affect4d.scans.scan import FaceScan


def stance_rotation(take: str, number: int, degrees: float) -> Float64[np.ndarray, "3 3"]:
    """How the head is turned in one stance of a take: yaw and pitch, each normally distributed.

    Args:
        take: Tells takes apart; all frames of one are turned alike, so that what moves stays what moves.
        number: Of the stance, from 1 on; 0 is the canonical one.
        degrees: Standard deviation of either angle.
    """
    if not number:
        return np.eye(3)
    yaw, pitch = np.radians(np.random.default_rng([number, zlib.crc32(take.encode())]).normal(0.0, degrees, 2))
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return np.asarray(about_x @ about_y)


def in_stance(face: FaceScan, take: str, number: int, options: RenderOptions) -> FaceScan:
    """A canonical face turned about the point that the cameras look at.

    Args:
        face: In the canonical frame.
        take: As for :func:`stance_rotation`.
        number: Of the stance.
        options: Where the cameras look, and how far a head is turned.
    """
    pivot = np.array([0.0, options.centre_height, -options.pivot_depth])
    rotation = stance_rotation(take, number, options.stance_degrees)
    turned = (face.vertices - pivot) @ rotation.T + pivot
    return replace(face, vertices=turned.astype(np.float32), landmarks=None)
