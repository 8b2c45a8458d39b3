#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# All tests, phase by phase: tests/lab/test.sh [unit|integration|molecule|lab|lab-long …]
# lab-long (a search for secrets, a reboot) isn't part of the default yet.
# Every phase runs, whatever failed before it; then one line of totals.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
bin=$root/build/venv/bin
reports=$root/build/reports
export PATH=$bin:$PATH
failed=()
rm -rf "$reports"
mkdir -p "$reports"

phase() {
    local name=$1 start=$SECONDS
    shift
    echo "=== $name"
    if "$@"; then echo "=== $name: passed, $((SECONDS - start)) s"; else
        echo "=== $name: FAILED, $((SECONDS - start)) s"
        failed+=("$name")
    fi
}

suite() {
    local name=$1
    shift
    if [ -z "$(find "tests/$name" -name 'test_*.py' -print -quit)" ]; then
        echo "no tests in tests/$name yet"
        return 0
    fi
    python -m pytest "tests/$name" --quiet --junit-xml="$reports/$name.xml" "$@"
}

scenarios() {
    local file name bad=0
    PYTHONPATH=tests/lab python -m lab copy > /dev/null || return 1
    for file in extensions/molecule/*/molecule.yml; do
        [ -e "$file" ] || { echo "no molecule scenarios yet"; return 0; }
        name=$(basename "$(dirname "$file")")
        echo "--- molecule: $name"
        (cd extensions && ANSIBLE_COLLECTIONS_PATH=$root/build/collections molecule test --scenario-name "$name") || bad=1
    done
    return $bad
}

[ $# -gt 0 ] || set -- unit integration molecule lab
for name in "$@"; do
    case $name in
        unit) phase unit suite unit -n 2 ;;
        integration) phase integration suite integration ;;
        molecule) phase molecule scenarios ;;
        lab) phase lab suite lab --ignore=tests/lab/test_story_secrets.py --ignore=tests/lab/test_story_reboot.py ;;
        lab-long) phase lab-long python -m pytest --quiet tests/lab/test_story_secrets.py tests/lab/test_story_reboot.py ;;
        *) echo "no phase $name: unit, integration, molecule, lab or lab-long" >&2; exit 2 ;;
    esac
done
PYTHONPATH=tests/lab python -m lab.totals "$reports" | tee "$reports/totals"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
