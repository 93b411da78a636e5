import os
import sys
import tomllib
from pathlib import Path

import pytest

from affect4d.app import WATCH
from affect4d.app.__main__ import HERE, main, options


def test_the_app_is_served_to_this_machine_only_and_tells_nobody(project_root):
    raw = (HERE / "streamlit.toml").read_text()
    words = set(options(tomllib.loads(raw)))
    assert {
        "--server.address=127.0.0.1",
        "--server.enableXsrfProtection=true",
        "--server.enableCORS=true",
        "--browser.gatherUsageStats=false",
        "--theme.light.textColor=#2a2725",
    } <= words
    assert (project_root / ".streamlit" / "config.toml").read_text() == raw  # `streamlit run` by hand is as careful


def test_streamlit_knows_every_option_that_is_set():
    from streamlit.config import get_config_options

    known = set(get_config_options())
    told = {
        word.removeprefix("--").partition("=")[0]
        for word in options(tomllib.loads((HERE / "streamlit.toml").read_text()))
    }
    assert told <= known


def test_the_page_that_is_served_exists(monkeypatch):
    started: list[str] = []
    monkeypatch.setattr("os.execv", lambda _, command: started.extend(command))
    main()
    assert Path(started[started.index("run") + 1]).is_file()


@pytest.mark.parametrize("words", [["--watch", "scans"], ["--", "--watch=scans"]])
def test_the_watched_folder_is_named_when_the_app_starts(words, monkeypatch, tmp_path):
    started: list[str] = []
    monkeypatch.setattr("os.execv", lambda _, command: started.extend(command))
    monkeypatch.setenv(WATCH, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["affect4d.app", "--server.port", "8502", *words])
    with pytest.raises(SystemExit, match="There is no folder scans to watch"):
        main()
    (tmp_path / "scans").mkdir()
    main()
    assert os.environ[WATCH] == str(tmp_path / "scans")
    assert started[-2:] == ["--server.port", "8502"]
