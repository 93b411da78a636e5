import pytest

from affect4d.views.corpus_sheet import _columns


@pytest.mark.parametrize(("of_a_subject", "cells"), [(18, 72), (18, 18), (3, 12), (7, 70), (1, 5), (18, 60 * 18)])
def test_a_subject_fills_whole_rows(of_a_subject, cells):
    assert of_a_subject % _columns(of_a_subject, cells) == 0


def test_a_sheet_is_neither_a_strip_nor_a_column():
    columns = _columns(18, 72)
    assert 0.7 < columns / (72 / columns) < 2.2
