"""How Sphinx turns the docstrings and the pages beside this file into a site."""

from __future__ import annotations

import banditlab

project = "banditlab"
author = "the authors of banditlab"
version = release = banditlab.__version__
copyright = author

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
]
html_theme = "furo"
html_title = f"banditlab {version}"
html_static_path: list[str] = []
exclude_patterns = ["_build"]

napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_mock_imports = ["opendp"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 2
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True


def tidy(app, what, name, obj, options, lines):
    """Docstrings as Sphinx wants them: what follows the parameters is a section of its own."""
    if "Parameters" not in (line.strip() for line in lines):
        return
    for i in range(1, len(lines) - 1):
        prose = lines[i] and not lines[i - 1] and not lines[i][0].isspace()
        entry = lines[i + 1].startswith((" ", "---")) or lines[i - 2 : i - 1] == ["----------"]
        if prose and not entry and "Parameters" in (line.strip() for line in lines[:i]):
            lines[i:i] = ["Notes", "-----"]
            return


def setup(app):
    app.connect("autodoc-process-docstring", tidy, priority=100)  # before napoleon
