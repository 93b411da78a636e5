"""Layouts: a synthetic corpus in another corpus's own folders and formats."""

from affect4d.synthetic.layouts.corpora import LAYOUTS, layout_named, write_bu4dfe_frame
from affect4d.synthetic.layouts.corpus_layout import CorpusLayout, LabelRow, LayoutTake, WrittenScan

__all__ = [
    "LAYOUTS",
    "CorpusLayout",
    "LabelRow",
    "LayoutTake",
    "WrittenScan",
    "layout_named",
    "write_bu4dfe_frame",
]
