"""Sphinx settings."""

import thalweg

project = "Thalweg"
author = "The Thalweg authors"
copyright = author
release = version = thalweg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_mock_imports: list[str] = []
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Thalweg"
suppress_warnings = ["autodoc.mocked_object"]
