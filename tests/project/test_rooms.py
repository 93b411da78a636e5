"""What is kept under the code that made it: no code that could change a result is left out of its key.

Every result that is made once has in its key a digest of some rooms of the package, its ``ROOMS``. A module these rooms
import, and that is in none of them, would let an old result stand after a change: it is named here, with the reason.
"""

import ast
import importlib
from functools import cache
from pathlib import Path

import grimp
import pytest

import affect4d

PACKAGE = Path(affect4d.__file__).parent
CARRIERS = ("arrays", "content", "engine", "memory", "progress", "tracking")
"""What names shapes, stores, spreads, counts and shows; none of it changes what is computed."""
OPTIONS = ("models.options", "rendering.cameras", "scans.scan", "training.options", "views.inputs", "views.mixing")
"""Classes of settings and of data, whose values are in a key themselves."""
BESIDE = {
    "evaluation.once.ROOMS": OPTIONS,
    "faces.corpus.ROOMS": ("scans.natural", "scans.readers", "scans.scan", "scans.source"),  # names and labels alone
    "pipelines.bundle.nodes.ROOMS": (
        *OPTIONS,
        "evaluation",
        "models",
        "scans",
        "tensors",
    ),  # the record names the model
    "pipelines.export.nodes.ROOMS": ("prompts",),
    "pipelines.ingest.page.ROOMS": ("evaluation", "faces", "studies"),  # of other pages; a scan has its checksum
    "pipelines.prompts.nodes.LOOKING_ROOMS": OPTIONS,
    "pipelines.prompts.nodes.NAMING_ROOMS": ("evaluation", "models", "training", "views"),  # for LOOKING_ROOMS
    "rendering.sequences.ROOMS": ("scans.corpora", "scans.expression", "scans.ingest_report", "scans.portions"),
    "studies.contenders.ROOMS": (*OPTIONS, "scans.protocols", "studies.trial"),  # the split, and a trial, have keys
    "studies.robustness.ROOMS": (*OPTIONS, "rendering", "scans", "studies.tickets", "training.device"),
    "studies.trial.ROOMS": (*OPTIONS, "studies.tickets"),
    "training.once.ROOMS": OPTIONS,
    "views.bank.ROOMS": OPTIONS,
}
"""Rooms → what they import and need not name: of drawing, what finds scans and tells of them; of robustness, what
:func:`affect4d.rendering.sequences.rendering_version` says beside them."""


def rooms_of_results():
    """``module.ROOMS`` of every ``code_version(*ROOMS)`` in the package."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        called = [node for node in ast.walk(ast.parse(file.read_text())) if is_call(node)]
        if called and file.parent.name != "content":
            module = file.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
            own = vars(importlib.import_module(f"affect4d.{module}"))
            for name in own:
                if name.endswith("ROOMS"):
                    found.setdefault(own[name], f"{module}.{name}")  # one that is borrowed is looked at once
    return {name: rooms for rooms, name in found.items()}


def is_call(node):
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "code_version"


@cache
def graph():
    return grimp.build_graph("affect4d", exclude_type_checking_imports=True)


def inside(module, rooms):
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def strangers(rooms, beside):
    """Imports of some rooms that are neither in them nor beside them."""
    names = {module.removeprefix("affect4d."): module for module in graph().modules}
    own = [name for name in names if inside(name, rooms)]
    imported = {
        (one.removeprefix("affect4d."), name)
        for name in own
        for one in graph().find_modules_directly_imported_by(names[name])
    }
    return {f"{one} (by {name})" for one, name in imported if not inside(one, (*rooms, *CARRIERS, *beside))}


@pytest.mark.parametrize("name", sorted(rooms_of_results()))
def test_the_key_of_a_result_names_all_the_code_it_depends_on(name):
    assert strangers(rooms_of_results()[name], BESIDE.get(name, ())) == set()


def test_a_room_that_is_missing_is_found():
    assert any(one.startswith("compiled ") for one in strangers(("tensors", "views"), ()))


def test_nothing_is_excused_that_is_not_imported():
    known = rooms_of_results()
    assert set(BESIDE) <= set(known)
    for name, beside in BESIDE.items():
        for one in set(beside) - set(OPTIONS):
            rest = tuple(other for other in beside if other != one)
            assert strangers(known[name], rest), f"{name} need not excuse {one}"


def test_every_key_takes_its_rooms_from_a_constant():
    """Rooms written into the call would not be looked at above."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if is_call(node):
                (words,) = node.args
                assert isinstance(words, ast.Starred), file
                assert words.value.id.lower().endswith("rooms"), file
