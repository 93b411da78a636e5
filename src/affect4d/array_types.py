"""The shapes a scan is made of, as named axes of NumPy arrays; imports nothing of ours, and not torch.

Axis names are the field's own: ``vertices``, ``faces``, ``landmarks``, ``frames``, ``views``, ``batch``, ``dim``.
Lengths are millimetres, angles degrees, times seconds, images ``uint8`` unless a docstring says otherwise.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8

Vertices = Float32[np.ndarray, "vertices 3"]
"""Points in millimetres: +x to the subject's left, +y up, +z out of the face, towards the camera."""
Faces = Int32[np.ndarray, "faces 3"]
"""Triangles, counter-clockwise seen from outside."""
TextureCoordinates = Float32[np.ndarray, "vertices 2"]
"""u to the right, v **up** (row 0 of the image is v = 1)."""
Texture = UInt8[np.ndarray, "height width 3"]
Landmarks = Float32[np.ndarray, "landmarks 3"]
"""Millimetres, in the scan's own frame; a row of NaN is a landmark that was not tracked."""
Pose = Float64[np.ndarray, "4 4"]
"""Rigid transform (plus scale) that takes raw coordinates to the canonical frame."""
RangePlanes = Float64[np.ndarray, "5 rows columns"]
"""A range image: x, y, z in millimetres and u, v with v **top-down**; row 0 at the bottom of the face."""

ImageArray = UInt8[np.ndarray, "height width channels"]
