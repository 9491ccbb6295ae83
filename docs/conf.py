"""Builds the documentation: ``tox run -e docs``, or ``sphinx-build -W docs build/docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from lunora_rx import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "lunora_rx"
author = "The lunora_rx developers"
release = version = __version__
copyright = "the lunora_rx developers"  # noqa: A001 - the name that Sphinx reads

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.graphviz",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "tables",
]
exclude_patterns = ["_ext", "build"]
# References in texts have to lead somewhere; types of signatures may be those of libraries.
nitpicky = True
nitpick_ignore_regex = [("py:(class|exc)", ".*")]
# The project's own home is here before it is there: tests/docs/test_links.py looks whether its places exist.
linkcheck_ignore = [r"http://(127\.0\.0\.1|localhost)", r"https://github\.com/lunora/lunora-rx\b"]
linkcheck_timeout = 20

html_theme = "furo"
html_title = f"lunora_rx {release}"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

graphviz_output_format = "svg"
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
