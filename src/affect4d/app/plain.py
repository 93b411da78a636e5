"""Words of strangers, such as names of files, so that the page shows them and does nothing else with them."""

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&])")


def plain(text: str) -> str:
    r"""Text that Markdown shows as it is: no link, picture, formula or colour.

    >>> plain("![a](http://b)")
    '\\!\\[a\\]\\(http\\://b\\)'
    """
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
