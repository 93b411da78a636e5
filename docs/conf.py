"""How ``make docs`` makes these pages: Markdown as it is, and a reference of every public name from its docstring.

``sphinx-build -t pages`` leaves the reference out, which takes minutes: that is how a test checks every link.
"""

from importlib.metadata import version as version_of

project, author, copyright = "Affect4D", "The Affect4D developers", "The Affect4D developers"
release = version = version_of("affect4d")
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme, html_title = "furo", f"Affect4D {release}"
html_static_path = html_css_files = ["tables.css"]
myst_heading_anchors = 3  # a link may end in #a-heading

if "pages" in tags:  # type: ignore[name-defined]  # noqa: F821
    exclude_patterns += ["reference"]  # of a build that runs beside this one
else:
    extensions += ["autoapi.extension", "sphinx.ext.napoleon"]
autoapi_dirs = ["../src/affect4d"]  # read, not imported
autoapi_root = "reference"
autoapi_ignore = [
    "*/pipelines/*",
    "*/app/*",
    "*/datasets/*",
    "*/synthetic/*",
    "*/reporting/*",
    "*/hooks.py",
    "*/settings.py",
]
autoapi_options = ["members"]
autoapi_member_order = "groupwise"
suppress_warnings = ["autoapi.python_import_resolution", "ref.python"]  # two classes may have an attribute `rows`
