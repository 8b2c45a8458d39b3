# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sum of several runs of pytest, from their reports: `python -m lab.totals FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def totals(folder: Path) -> str:
    """One line `N passed, N failed, N skipped` over all reports (JUnit XML) of a folder."""
    passed = failed = skipped = 0
    for report in folder.glob("*.xml"):
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            left = int(suite.get("skipped", 0))
            failed, skipped = failed + bad, skipped + left
            passed += int(suite.get("tests", 0)) - bad - left
    return f"{passed} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    print(totals(Path(sys.argv[1])))
