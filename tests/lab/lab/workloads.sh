#!/bin/sh
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs on a lab host: makes the network namespaces listed in the file $1, one a
# line, that are not there. An overlay's packet (its ranges are 100.64.0.0/10 and
# fd00::/8) that comes in from a workload's default route has leaked.
set -eu
book=$1
[ -e "$book" ] || exit 0
if ! ip link show pods >/dev/null 2>&1; then
    ip link add pods type bridge
    ip address add 10.42.0.1/16 dev pods
    ip address add fe80::1/64 dev pods nodad
    ip link set pods up
    nft -f - <<'END'
table inet lab_pods {
    counter leaked { }
    chain prerouting {
        type filter hook prerouting priority raw;
        iifname "pods" ip daddr { 100.64.0.0/10 } counter name leaked drop
        iifname "pods" ip6 daddr { fd00::/8 } counter name leaked drop
    }
}
END
fi
number=0
while read -r name; do
    number=$((number + 1))
    if [ "$name" = - ] || [ -e "/run/netns/$name" ]; then continue; fi
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip link add "pod$number" type veth peer name eth0 netns "$name"
    ip link set "pod$number" master pods up
    ip -n "$name" link set eth0 up
    ip -n "$name" address add "10.42.$((number / 250)).$((number % 250 + 2))/16" dev eth0
    ip -n "$name" route add default via 10.42.0.1
    ip -n "$name" -6 route add default via fe80::1 dev eth0
    mkdir -p "/etc/netns/$name"
    printf 'nameserver 10.42.0.1\n' > "/etc/netns/$name/resolv.conf"
done < "$book"
