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
autodoc_preserve_defaults = True
autodoc_mock_imports = ["opendp"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 2
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
