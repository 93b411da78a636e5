"""The heads and objects that poses are measured on can be made, each kind of them."""

import os

import numpy as np
import pytest
from benchmarks.heads import KINDS, OBJECTS, heads_of, objects_of

ICT = os.environ.get("AFFECT4D_ICT")


@pytest.mark.parametrize(
    "ict", [None, pytest.param(ICT, marks=[pytest.mark.corpus, pytest.mark.skipif(not ICT, reason="no AFFECT4D_ICT")])]
)
def test_every_kind_of_head_and_object_is_a_mesh(ict):
    heads = list(heads_of(2 * len(KINDS), 0, ict))
    usable = {kind for kind in KINDS if ict or not kind.startswith("ict")}
    assert {head.kind for head in heads} == usable
    objects = dict(objects_of(len(OBJECTS), 0, ict))
    for scan in [*(head.scan for head in heads), *objects.values()]:
        assert np.isfinite(scan.vertices).all()
        assert scan.faces.max() < len(scan.vertices)
        assert len(np.unique(scan.faces)) == len(scan.vertices)
