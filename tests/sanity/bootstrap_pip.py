# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts pip into one of ansible-test's empty environments, from pip's own wheel.

ansible-test fetches a script named get_pip_24_2.py from a host of its own, which not every network reaches, unless
one of that name lies in its cache. tests/sanity/run.sh puts this one there with the wheel (fetched from the package
index, its hash checked) beside it; a wheel of pip can be run as it is.
"""

from __future__ import annotations

import pathlib
import sys

_WHEEL = pathlib.Path.home() / ".ansible" / "test" / "cache" / "pip-24.2-py3-none-any.whl"

sys.path.insert(0, str(_WHEEL))

if __name__ == "__main__":
    from pip._internal.cli.main import main

    # get-pip's own options, which pip itself doesn't know
    wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
    sys.exit(main(["install", *wanted]))
