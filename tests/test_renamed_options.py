"""Options under their former names work for one version, with a warning."""

import warnings

import pytest
from pydantic import BaseModel, ValidationError

from affect4d.renamed_options import former_names


class Options(BaseModel, frozen=True, extra="forbid"):
    variants: int = 0
    _former = former_names(arms="variants")


def test_a_former_name_sets_the_option_and_gives_the_new_name():
    with pytest.warns(FutureWarning, match="option arms is called variants now"):
        assert Options.model_validate({"arms": 3}).variants == 3


def test_the_name_of_today_warns_of_nothing_and_other_names_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Options(variants=2).variants == 2
        assert Options.model_validate(Options(variants=2)) == Options(variants=2)
    with pytest.raises(ValidationError, match="branches"):
        Options.model_validate({"branches": 3})
