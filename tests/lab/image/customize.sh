#!/bin/sh
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs inside the new root before it becomes an image.
set -eu

# Boot: nothing that needs hardware, a console, a clock or the outside. The
# machine's own kernel settings are out of bounds too: /proc/sys is writable in
# a lab host (network namespaces need that) and not all of it is namespaced.
systemctl -q mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer \
    console-getty.service getty@.service getty.target serial-getty@.service \
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount \
    systemd-binfmt.service systemd-firstboot.service systemd-modules-load.service \
    systemd-pstore.service systemd-remount-fs.service systemd-sysctl.service \
    systemd-udevd.service systemd-udev-trigger.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket \
    systemd-journald-audit.socket
systemctl -q disable serf.service nftables.service ulogd2.service 2>/dev/null || true
systemctl -q enable ssh.service
systemctl -q set-default multi-user.target

# Identity belongs to a host, not to the image.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: > /etc/machine-id
install -d -m 0700 /root/.ssh
printf 'PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n' \
    > /etc/ssh/sshd_config.d/lab.conf
# A host's journal lives and dies with its container.
install -d /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n' > /etc/systemd/journald.conf.d/lab.conf

# The wheel house, and from it the environment that teams, tenants and the
# development chain work with.
python3 -m venv /opt/control
/opt/control/bin/pip install -q --disable-pip-version-check --no-index --no-compile \
    --find-links /srv/wheels --require-hashes -r /srv/wheels/control.txt
/opt/control/bin/python -m compileall -q -j 2 /opt/control/lib >/dev/null 2>&1 || true
