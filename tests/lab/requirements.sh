#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the locks anew from what they are made from: each *.in beside its *.txt.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
uv=build/uv/bin/uv
[ -x $uv ] || { /usr/bin/python3 -m venv build/uv && build/uv/bin/pip install --quiet --disable-pip-version-check uv; }
for source in tests/requirements.in tests/lab/image/control.in roles/reconcile/files/requirements.in; do
    lock=${source%.in}.txt
    # A lock keeps its versions where they still fit; UPGRADE=1 takes the newest.
    $uv pip compile --quiet --no-header --generate-hashes --python /usr/bin/python3 --python-version 3.11 \
        ${UPGRADE:+--upgrade} --output-file "$lock" "$source"
    printf '%s\n' '# SPDX-FileCopyrightText: 2026 The akash.avpn authors' '# SPDX-License-Identifier: GPL-3.0-or-later' '' |
        cat - "$lock" > "$lock.new"
    mv "$lock.new" "$lock"
    echo "$lock"
done
