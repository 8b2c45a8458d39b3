#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# All linters; every one runs, whatever the others found.
set -uo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
export PATH=$root/build/venv/bin:$PATH
failed=()

check() {
    local name=$1 start=$SECONDS
    shift
    echo "=== $name"
    "$@" || failed+=("$name")
    echo "=== $name: $((SECONDS - start)) s"
}

types() {
    # The collection under its own name, as Ansible imports it.
    local tree=build/import/ansible_collections/akash
    mkdir -p $tree && ln -sfn "$root" $tree/avpn
    local bad=0
    mypy --strict tests/lab/lab tests/lab/devchain tests/lab/history || bad=1
    mypy --strict -p ansible_collections.akash.avpn.plugins.module_utils || bad=1
    return $bad
}

ansible_content() {
    # Its syntax checks look the collection up by its name: in a copy of the work tree, up to date.
    PYTHONPATH=tests/lab python -m lab copy >/dev/null || return 1
    ANSIBLE_COLLECTIONS_PATH=$root/build/collections ansible-lint --offline --profile production -q
}

check "ruff check" ruff check --quiet .
check "ruff format" ruff format --check --quiet .
check mypy types
check yamllint yamllint --strict .
check reuse reuse --suppress-deprecation lint --quiet
check ansible-lint ansible_content
check "ansible-test sanity" tests/sanity/run.sh
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
