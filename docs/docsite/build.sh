#!/bin/sh
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# The reference of all modules, plugins and roles, from their own documentation: build/docs/html/index.html
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
PATH=$root/build/venv/bin:$PATH
source=$root/build/docs/source
rm -rf build/docs
mkdir -p "$source/collections" build/import/ansible_collections/akash
[ -e build/import/ansible_collections/akash/avpn ] || ln -s "$root" build/import/ansible_collections/akash/avpn
# antsibull-docs wants a directory that nobody else can write
chmod 0755 "$source/collections"
ANSIBLE_COLLECTIONS_PATH=$root/build/import antsibull-docs collection --use-current --fail-on-error \
    --squash-hierarchy --dest-dir "$source/collections" akash.avpn > build/docs/antsibull.log 2>&1 ||
    { cat build/docs/antsibull.log; exit 1; }
cp docs/docsite/conf.py docs/docsite/index.rst "$source"
sphinx-build -q -W --keep-going -b html "$source" build/docs/html
echo "build/docs/html/index.html: $(find build/docs/html -name '*.html' | wc -l) pages"
