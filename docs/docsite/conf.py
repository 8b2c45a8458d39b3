# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx's configuration of the reference pages (docs/docsite/build.sh)."""

from __future__ import annotations

project = "akash.avpn"
author = "The akash.avpn authors"
copyright = "2026 The akash.avpn authors"  # noqa: A001 - Sphinx's name for it

extensions = ["sphinx_antsibull_ext"]
# Nothing is fetched while building: pages of other collections are named, not linked.
nitpicky = False

html_theme = "alabaster"
html_title = "akash.avpn"
html_theme_options = {
    "description": "Private overlay networks between the leases of one tenant on the Akash Network",
    "fixed_sidebar": True,
    "page_width": "1200px",
    "sidebar_width": "260px",
    "show_relbars": False,
}
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_use_index = False
highlight_language = "YAML+Jinja"
pygments_style = "ansible"
default_role = "any"
# Labels of Ansible's own pages; whether ours exist is checked by `antsibull-docs lint-collection-docs`.
suppress_warnings = ["ref.any", "ref.ref", "ref.envvar"]
