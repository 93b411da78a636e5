"""What every rendered picture has in common; free of VTK, so that a run that finds its pictures need not load it."""

NORMALS_BACKGROUND = 128
"""Every channel of a normals picture where no face is; also the encoding of 0."""


class RenderError(RuntimeError):
    """Pictures cannot be drawn; says why and what to do."""
