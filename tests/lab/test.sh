#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# All tests: tests/lab/test.sh [unit|integration|molecule|lab …], by default all of them.
# Every phase runs, whatever failed before it; then one line of totals. Named phases run one after another and
# are shown as they run. All of them: unit first, which takes both cores; then the lab beside the others, since
# both mostly wait. Each then writes to build/reports/<phase>.log, shown once it is through.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
bin=$root/build/venv/bin
reports=$root/build/reports
export PATH=$bin:$PATH
rm -rf "$reports"
mkdir -p "$reports"
# One phase may take the last lab down while another is about to make one: the daemon stays until all are through.
exec 8>> /run/lock/avpn-docker.lock
flock --shared 8

phase() {
    local name=$1 start=$SECONDS word=passed
    echo "=== $name"
    run "$name" || { word=FAILED; touch "$reports/$name.failed"; }
    echo "=== $name: $word, $((SECONDS - start)) s"
}

run() {
    case $1 in
        unit) suite unit -n 2 ;;
        integration | lab) suite "$1" ;;
        # Two halves of integration, for two lanes.
        ledger) suite integration/quorum ;;
        hosts) suite integration --ignore=tests/integration/quorum ;;
        molecule) scenarios ;;
        *) echo "no phase $1: unit, integration (ledger and hosts), molecule or lab" >&2; return 1 ;;
    esac
}

# Phases one after another, each shown when it is through: briefly if it passed.
lane() {
    local name log
    for name in "$@"; do
        log=$reports/$name.log
        phase "$name" > "$log" 2>&1
        if [ -e "$reports/$name.failed" ]; then cat "$log"; else grep -E '^(===|---) |passed' "$log"; fi
    done
}

suite() {
    local name=$1
    shift
    if [ -z "$(find "tests/$name" -name 'test_*.py' -print -quit)" ]; then
        echo "no tests in tests/$name yet"
        return 0
    fi
    # Generated examples are the same in every run of the same code; pytest by itself draws others each time.
    python -m pytest "tests/$name" --quiet --hypothesis-profile=ci --durations=8 --junit-xml="$reports/${name//\//-}.xml" "$@"
}

scenarios() {
    local file name bad=0 start
    PYTHONPATH=tests/lab python -m lab copy > /dev/null || return 1
    for file in extensions/molecule/*/molecule.yml; do
        [ -e "$file" ] || { echo "no molecule scenarios yet"; return 0; }
        name=$(basename "$(dirname "$file")")
        start=$SECONDS
        echo "--- molecule: $name"
        (cd extensions && ANSIBLE_COLLECTIONS_PATH=$root/build/collections molecule test --scenario-name "$name") || bad=1
        echo "--- molecule: $name: $((SECONDS - start)) s"
    done
    PYTHONPATH=tests/lab python -m lab --lab "${AVPN_LAB:-avpn}-molecule" down || bad=1
    return $bad
}

if [ $# -gt 0 ]; then
    for name in "$@"; do phase "$name"; done
else
    phase unit
    lane lab ledger &
    lane molecule hosts
    wait
fi
exec 8>&-
PYTHONPATH=tests/lab python -m lab --lab "${AVPN_LAB:-avpn}-molecule" down
PYTHONPATH=tests/lab python -m lab.totals "$reports" | tee "$reports/totals"
failed=$(find "$reports" -name '*.failed' -printf '%f ')
if [ -n "$failed" ]; then
    echo "failed: ${failed//.failed/}" >&2
    exit 1
fi
