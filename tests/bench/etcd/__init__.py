# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peer system that allocation is measured against: a cluster of etcd, its client, and allocating with it."""
