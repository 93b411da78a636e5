"""The procedural face: a linear model over a material plane, written for this package; no scan stands behind it."""
