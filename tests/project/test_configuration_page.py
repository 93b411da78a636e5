"""docs/configuration.md says what conf/base and the options say: every key, default, choice and command."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Literal, get_args, get_origin

import click
import pytest
import yaml
from kedro.framework.project import configure_project
from kedro.validation.parameter_validator import ParameterValidator
from kedro.validation.type_extractor import TypeExtractor
from omegaconf import OmegaConf
from pydantic import BaseModel

from affect4d.cli import run
from affect4d.configuration_layers_and_checks import (
    LayeredConfigLoader,
    flatten,
    parameter_inputs,
    runtime_parameters,
    unread_parameters,
)
from affect4d.hooks import MlflowOptions
from affect4d.pipeline_registry import register_pipelines
from affect4d.settings import CONFIG_LOADER_ARGS

DOCS = Path(__file__).resolve().parents[2] / "docs"
ABSENT = object()
INTERVAL = re.compile(r"([\[(])(\d[\d.]*), (\d[\d.]*)([\])])|([≥>]) (\d[\d.]*)")
BOUNDS = {"ge": "≥", "gt": ">", "le": "]", "lt": ")"}


def rows():
    """Key, default, choices and command of every row of the page."""
    for line in (DOCS / "configuration.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[1].startswith("`"):
            yield cells[1].strip("`"), cells[2].strip("`"), cells[3], cells[4]


ROWS = [pytest.param(*row, id=f"{number}: {row[0]}") for number, row in enumerate(rows())]


def commands():
    """Every `kedro run` of the pages, with the name of its page; certificates of a tls:// address lie in files."""
    for page in (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))):
        for command in re.findall(r"`(kedro run[^`]*)`|^    (kedro run.*)$", page.read_text(), re.M):
            yield page.stem, "".join(command).split(" #")[0].replace("tls://host", "tcp://localhost").strip()


@pytest.fixture(scope="module")
def pipelines():
    configure_project("affect4d")
    return register_pipelines()


@pytest.fixture(scope="module")
def groups(pipelines):
    """Parameter group → the model that its node validates it by."""
    return TypeExtractor(pipelines).extract_types_from_pipelines()


@pytest.fixture(scope="module")
def conf(project_root, tmp_path_factory):
    """The project's configuration without anybody's own."""
    copy = tmp_path_factory.mktemp("project") / "conf"
    shutil.copytree(project_root / "conf", copy, ignore=shutil.ignore_patterns("local"))
    (copy / "local").mkdir()
    return copy


@pytest.fixture(scope="module")
def base(conf):
    """Settings, parameters and MLflow's options of conf/base."""
    return read(conf)


@pytest.fixture(scope="module")
def known(base, conf, pipelines):
    """Names that --params may give."""
    return {*runtime_parameters(conf), *parameter_inputs(pipelines.values()), *flatten(base[1])}


def read(conf, given=None):
    loader = LayeredConfigLoader(str(conf), env="local", runtime_params=given or {}, **CONFIG_LOADER_ARGS)
    return loader["globals"], loader["parameters"], loader["mlflow"]


def place(path, values):
    """The value at a dotted path of nested mappings; ABSENT without one."""
    for name in path.split("."):
        if not isinstance(values, dict) or name not in values:
            return ABSENT
        values = values[name]
    return values


def field_of(key, groups):
    """The field that declares a parameter; None of a setting in globals.yml."""
    if key in MlflowOptions.model_fields:
        return MlflowOptions.model_fields[key]
    group = next((name for name in groups if key.startswith(f"{name}.")), None)
    if group is None:
        return None
    model = groups[group]
    for name in key.removeprefix(f"{group}.").split("."):
        field = model.model_fields[name]
        model = next((kind for kind in (field.annotation, *get_args(field.annotation)) if is_model(kind)), None)
    return field


def is_model(kind):
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def value_of(key, sources, groups):
    """Value of a key: of the first source that has it, or the default of its option."""
    value = next((one for one in (place(key, source) for source in sources) if one is not ABSENT), ABSENT)
    field = field_of(key, groups)
    return field.get_default(call_default_factory=True) if value is ABSENT and field is not None else value


def parsed(command):
    """Pipeline and parameters of a `kedro run`, by its own command line."""
    words = shlex.split(command)
    assert words[:2] == ["kedro", "run"], command
    context = run.make_context("run", words[2:], parent=click.Context(run))
    return context.params["pipeline"] or "__default__", context.params["params"]


def test_the_page_has_the_rows_that_users_want():
    assert 40 <= len(ROWS) <= 70
    assert {name.split(".")[0] for name, *_ in rows()} >= {"corpus", "render", "prompts", "model", "predict", "engine"}


@pytest.mark.parametrize(("key", "default", "choices", "command"), ROWS)
def test_a_default_is_that_of_the_configuration(base, groups, key, default, choices, command):
    value = value_of(key, base, groups)
    assert value is not ABSENT
    assert yaml.safe_load(default) == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(("key", "default", "choices", "command"), ROWS)
def test_choices_are_those_that_the_options_declare(groups, key, default, choices, command):
    field = field_of(key, groups)
    if field is None:
        return
    words = set(re.findall(r"`([^`]+)`", choices))
    declared = field.annotation
    for kind in (declared, *get_args(declared)):
        if kind is bool:
            assert words >= {"true", "false"}
        if get_origin(kind) is Literal:
            assert words == set(get_args(kind)) if kind is declared else words >= set(get_args(kind))
    assert bounds_of(field) == bounds_on_page(choices)


def bounds_of(field):
    """Bounds of a field's numbers: {"≥": least, …}."""
    if field.annotation not in (int, float, int | None, float | None):
        return {}
    return {
        sign: float(getattr(one, name))
        for one in field.metadata
        for name, sign in BOUNDS.items()
        if getattr(one, name, None) is not None
    }


def bounds_on_page(choices):
    found = INTERVAL.search(choices)
    if found is None:
        return {}
    opens, low, high, closes, sign, least = found.groups()
    return {sign: float(least)} if sign else {"≥" if opens == "[" else ">": float(low), closes: float(high)}


@pytest.mark.parametrize(("key", "default", "choices", "command"), ROWS)
def test_a_command_changes_its_key_to_an_allowed_value(conf, base, pipelines, groups, key, default, choices, command):
    name, given = "__default__", {}
    own = re.fullmatch(r"`(conf/local/\w+\.yml)`: `(.+)`", command)
    if own is None:
        name, given = parsed(command.strip("`"))
        settings, parameters, mlflow = read(conf, given)
    else:
        file = conf.parent / own[1]
        file.write_text(own[2])
        settings, parameters, mlflow = read(conf)
        file.unlink()
    ParameterValidator({name: pipelines[name]}).validate_raw_params(parameters)
    MlflowOptions(**mlflow)
    assert value_of(key, (given, settings, parameters, mlflow), groups) != value_of(key, base, groups)


@pytest.mark.parametrize("command", [pytest.param(command, id=f"{page}: {command}") for page, command in commands()])
def test_every_command_on_the_pages_is_understood(base, pipelines, known, command):
    name, given = parsed(command.replace("study_…", "study_scale").replace("=NAME", "=evaluate"))
    assert unread_parameters(flatten(given), known) == []
    changed = OmegaConf.to_container(OmegaConf.merge(base[1], given))
    ParameterValidator({name: pipelines[name]}).validate_raw_params(changed)
