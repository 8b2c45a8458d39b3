/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Hosts have no names that matter: a state and the same with two founders, or two of the others, changed for each
 * other go on alike. Of all such states the first in order of its bytes stands for all (SYMMETRY=1; a counterexample
 * is searched without, or its hosts would change names on the way).
 */

#define ORDERS 120

static unsigned char orders[ORDERS][HOSTS]; /* where each host goes */
static unsigned char sets[ORDERS][128];     /* where sets of hosts, and so values, go */
static int number_of_orders;

static void add_orders(int h, int taken, unsigned char *order)
{
    int to, set;
    if (h == HOSTS) {
        memcpy(orders[number_of_orders], order, HOSTS);
        for (set = 0; set < 128; set++) {
            int moved = set & ~31, i;
            for (i = 0; i < HOSTS; i++)
                if (set & BIT(i)) moved |= BIT(order[i]);
            sets[number_of_orders][set] = moved;
        }
        number_of_orders++;
        return;
    }
    for (to = h < FOUNDERS ? 0 : FOUNDERS; to < (h < FOUNDERS ? FOUNDERS : HOSTS); to++)
        if (!(taken & BIT(to))) {
            order[h] = to;
            add_orders(h + 1, taken | BIT(to), order);
        }
}

static void find_orders(void)
{
    unsigned char order[HOSTS];
    number_of_orders = 0;
    add_orders(0, 0, order);
}

/* What depends on the hosts' order, one after another. */
struct arrangement {
    unsigned char host[HOSTS][5 + CELLS];
    unsigned char set[4 + 5 * CELLS + 4 * VERSIONS];
};

static void arrange(struct arrangement *to, int k)
{
    int h, i, v, at = 0;
    const unsigned char *moved = sets[k];
    for (h = 0; h < HOSTS; h++) {
        unsigned char *host = to->host[orders[k][h]];
        host[0] = now.version[h];
        host[1] = moved[now.value[h]];
        host[2] = now.promised[h];
        host[3] = now.accepted[h];
        host[4] = now.spoken[h];
        for (i = 0; i < CELLS; i++) host[5 + i] = now.shown[i * HOSTS + h];
    }
    memset(to->set, 0, sizeof to->set);
    to->set[at++] = moved[now.left];
    to->set[at++] = moved[now.lost];
    for (i = 0; i < CELLS; i++) {
        to->set[at++] = moved[now.proposal[i]];
        to->set[at++] = moved[now.parent[i]];
        to->set[at++] = moved[now.takers[i]];
    }
    for (v = 1; v <= VERSIONS; v++) {
        to->set[at++] = moved[now.certified[v]];
        to->set[at++] = moved[now.built_on[v]];
        to->set[at++] = moved[now.held[v]];
        to->set[at++] = moved[now.base[v]];
    }
}

static void take(const struct arrangement *from)
{
    int h, i, v, at = 0;
    for (h = 0; h < HOSTS; h++) {
        const unsigned char *host = from->host[h];
        now.version[h] = host[0];
        now.value[h] = host[1];
        now.promised[h] = host[2];
        now.accepted[h] = host[3];
        now.spoken[h] = host[4];
        for (i = 0; i < CELLS; i++) now.shown[i * HOSTS + h] = host[5 + i];
    }
    now.left = from->set[at++];
    now.lost = from->set[at++];
    for (i = 0; i < CELLS; i++) {
        now.proposal[i] = from->set[at++];
        now.parent[i] = from->set[at++];
        now.takers[i] = from->set[at++];
    }
    for (v = 1; v <= VERSIONS; v++) {
        now.certified[v] = from->set[at++];
        now.built_on[v] = from->set[at++];
        now.held[v] = from->set[at++];
        now.base[v] = from->set[at++];
    }
}

static void rename_hosts(void)
{
    struct arrangement first, other;
    int k;
    arrange(&first, 0);
    for (k = 1; k < number_of_orders; k++) {
        arrange(&other, k);
        if (memcmp(&other, &first, sizeof first) < 0) first = other;
    }
    take(&first);
}
