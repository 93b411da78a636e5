import tomllib
from pathlib import Path

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
