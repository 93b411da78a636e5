"""Former names of options, accepted for one version."""

import warnings
from typing import Any

from pydantic import model_validator


def former_names(**names: str) -> Any:
    """A validator of a pydantic model that takes fields under their former names (former=present), with a warning."""

    def rename(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for old in names.keys() & values.keys():
            warnings.warn(
                f"The option {old} is called {names[old]} now; the old name goes.", FutureWarning, stacklevel=2
            )
        return {names.get(name, name): value for name, value in values.items()}

    return model_validator(mode="before")(rename)
