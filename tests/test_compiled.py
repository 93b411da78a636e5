"""Loops as machine code."""

from affect4d.compiled import compiled


def test_a_function_that_nothing_can_keep_is_compiled_all_the_same():
    """As where neither the package's folder nor the user's home can be written: this one has no file at all."""
    space = {}
    exec("def double(number):\n    return 2 * number", space)
    double = compiled(space["double"])
    assert double(3) == 6
    assert double.signatures
