#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs one part of the benchmarks, fault tests or the model: part.sh bench|faults|model [PART] [argument …]
# Debian's packages that only this part needs stand in PART.packages beside it.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
kind=$1
part=${2-}
shift $(($# < 2 ? $# : 2))
cd "$root"
parts=$(find "tests/$kind" -maxdepth 1 -name '[a-z]*.py' ! -name 'conftest.py' ! -name 'test_*' -printf '%f\n' | sed 's/\.py$//' | sort)
if [ ! -f "tests/$kind/$part.py" ]; then
    echo "tests/$kind has no part '$part'; it has: ${parts//$'\n'/ }" >&2
    exit 2
fi
if [ -f "tests/$kind/$part.packages" ]; then
    mapfile -t packages < "tests/$kind/$part.packages"
    tests/lab/bootstrap.sh "${packages[@]}"
fi
PYTHONPATH=tests/lab:tests exec build/venv/bin/python "tests/$kind/$part.py" "$@"
