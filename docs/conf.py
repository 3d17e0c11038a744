"""The documentation site: Markdown pages by Sphinx. `make docs` builds it and takes every warning for an error."""

from importlib.metadata import version as installed_version

project = "Thoraq"
author = "The Thoraq authors"
copyright = author  # noqa: A001 - Sphinx reads this name
version = release = installed_version("thoraq")

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["mermaid"]
myst_enable_extensions = ["deflist"]
# A heading can be linked to as on a forge: page.md#its-words.
myst_heading_anchors = 3
# Code blocks of Mermaid are pictures.
myst_fence_as_directive = ["mermaid"]
# A word without a lexer of its own is plain text.
highlight_language = "none"

html_theme = "furo"
html_title = f"Thoraq {version}"
# `make docs` puts Mermaid here, from its package: no page of the site asks another host for anything.
html_static_path = ["mermaid"]
html_copy_source = False
mermaid_use_local = "mermaid.esm.min.mjs"
mermaid_fullscreen = False
mermaid_height = "auto"
mermaid_init_config = {"startOnLoad": False, "deterministicIds": True}
