#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Takes a bare Debian 12 machine, as root, to where `make lab` and `make test`
# work: packages, a Docker daemon, build/venv. Where all is there it only looks,
# in less than a second. bootstrap.sh [PACKAGE …] installs these as well.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
state=/run/avpn-lab
packages=(
    # containers and their image
    docker.io mmdebstrap iptables
    # what tests use on the machine itself
    iproute2 iputils-ping nftables wireguard-tools wireguard-go dnsmasq-base serf conntrack ulogd2 socat
    openssh-client openssh-server procps kmod sqlite3 curl jq udhcpc isc-dhcp-client
    git make tar ca-certificates
    # the model of the ledger's protocol
    spin gcc libc6-dev
    # build/venv; and hosts' code under the distribution's own Python
    python3 python3-venv python3-paramiko python3-cryptography python3-netaddr python3-yaml
    "$@"
)

fail() { echo "bootstrap: $*" >&2; exit 1; }

install_packages() {
    local missing=() name
    local -A present=()
    while read -r name; do present[$name]=1; done < <(
        dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^installed //p'
    )
    for name in "${packages[@]}"; do [ -n "${present[$name]-}" ] || missing+=("$name"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "bootstrap: installing ${missing[*]}"
    # Nothing that is installed starts by itself: no sshd, no Docker, no serf.
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' > $policy
        chmod +x $policy
        ours=1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        -o Dpkg::Use-Pty=0 "${missing[@]}" > "$root/build/apt.log" 2>&1 || {
        [ -z $ours ] || rm $policy
        tail -n 20 "$root/build/apt.log" >&2
        fail "apt-get install failed"
    }
    [ -z $ours ] || rm $policy
}

start_docker() {
    docker info > /dev/null 2>&1 && return 0
    if [ -d /run/systemd/system ]; then
        systemctl start docker.service
    else
        # By hand; the lab stops it again, since this file says it is ours. It mustn't keep callers' locks.
        echo "bootstrap: starting dockerd"
        mkdir -p $state
        setsid -f sh -c "echo \$\$ > $state/dockerd.pid; exec dockerd > $state/dockerd.log 2>&1 < /dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-"
    fi
    local n
    for n in $(seq 150); do
        docker info > /dev/null 2>&1 && return 0
        sleep 0.2
        [ "$n" != 25 ] || echo "bootstrap: waiting for dockerd"
    done
    tail -n 20 $state/dockerd.log >&2 || true
    fail "dockerd doesn't answer"
}

make_venv() {
    local venv=$root/build/venv stamp want
    stamp=$venv/.requirements
    want=$(cat "$root/tests/requirements.txt" <(/usr/bin/python3 --version) | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || return 0
    echo "bootstrap: filling build/venv"
    [ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$root/tests/requirements.txt"
    echo "$want" > "$stamp"
}

[ "$(id -u)" = 0 ] || fail "needs root: containers, network namespaces, packages"
mkdir -p "$root/build"
exec 9> /run/lock/avpn-bootstrap.lock
flock 9
install_packages
start_docker
make_venv
