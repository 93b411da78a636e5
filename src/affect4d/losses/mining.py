"""Which triplets a triplet loss looks at; torch-free, so that options can name it."""

from typing import Literal

Mining = Literal["all", "semi_hard", "hardest"]
"""Every valid triplet; for each anchor and positive the hardest negative that is still farther; for each anchor the
farthest positive and the nearest negative."""
