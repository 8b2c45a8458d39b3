#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Reference pages of all plugins, modules and roles, from their documentation, into build/docs.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
export PATH=$root/build/venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$root/build/collections
PYTHONPATH=tests/lab python -m lab copy > /dev/null
rm -rf build/docs
mkdir -p build/docs
antsibull-docs collection --use-current --fail-on-error --squash-hierarchy --dest-dir build/docs akash.avpn
echo "build/docs has $(find build/docs -name '*.rst' | wc -l) pages"
