/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * After every step: what follows from the rest, and forgetting what can't matter any more, so that states that differ
 * in nothing else are one (docs/model.md says why nothing is lost). Mutations get around some of that reasoning, so
 * with them nothing is forgotten.
 */

static int forgets(void) { return now.forgetting && (!now.mutation || is(HASTY)); }

/* Whether some voter can still promise or accept the ballot. Promises and versions only rise: once not, never again. */
static int is_alive(int v, int b)
{
    int h;
    for (h = 0; h < HOSTS; h++)
        if (now.version[h] == v - 1 && SERVES(h) && (VOTERS(now.base[v]) & BIT(h))
            && now.promised[h] <= b && now.accepted[h] != b) return 1;
    return 0;
}

static int is_referred_to(int v, int b)
{
    int h, other;
    for (h = 0; h < HOSTS; h++) {
        if (now.version[h] == v - 1 && now.accepted[h] == b) return 1;
        for (other = 1; other <= most(v); other++)
            if (now.shown[CELL(v, other) * HOSTS + h] == 1 + b) return 1;
    }
    return 0;
}

static void forget(int v)
{
    int b, h;
    for (b = 1; b <= most(v); b++) {
        int cell = CELL(v, b);
        /* What is certified needs no second certificate. */
        if (now.proposal[cell] && now.certified[v] == now.proposal[cell]) now.takers[cell] = 0;
        if (now.alive[cell] && !now.proven[cell]) continue;
        for (h = 0; h < HOSTS; h++) now.shown[cell * HOSTS + h] = 0;
        if (now.alive[cell]) continue;
        now.proven[cell] = now.takers[cell] = 0;
    }
    for (b = 1; b <= most(v); b++) {
        int cell = CELL(v, b);
        if (!now.alive[cell] && !is_referred_to(v, b)) now.proposal[cell] = now.parent[cell] = 0;
    }
}

/* Searches for what should be possible, to see that the model gets there: it ends as if that were wrong. */
static int is_reached(void)
{
    int last = now.certified[now.versions];
    if (now.goal == 1) return last != 0;
    /* The last version is certified, its voters are none of the founders, and all of those have left. */
    return now.goal == 2 && last && !(last & now.certified[0]) && now.left == VOTERS(now.certified[0]);
}

static void settle(void)
{
    int v, b, h;
    now.named = 0;
    for (v = 1; v <= now.versions; v++) {
        now.base[v] = now.certified[v - 1];
        for (h = 0; h < HOSTS; h++)
            if (is(UNFINISHED) && now.version[h] == v - 1) now.base[v] = now.value[h];
        for (b = 1; b <= most(v); b++) {
            int cell = CELL(v, b);
            now.alive[cell] = is_alive(v, b);
            if (is(HASHLESS) && now.proposal[cell]) now.proven[cell] |= is_proven(v, b);
        }
        if (forgets()) forget(v);
        for (b = 1; b <= most(v); b++) now.named |= BOUND(now.proposal[CELL(v, b)]) == 1;
    }
    now.wrong |= is_reached();
    if (now.symmetry) rename_hosts();
}

static void begin(void)
{
    int h;
    telling = setting("TELLING", 0);
    now.mutation = setting("MUTATION", 0);
    now.ballots = setting("BALLOTS", BALLOTS);
    now.later = setting("LATER", now.ballots);
    now.versions = setting("VERSIONS", VERSIONS);
    now.losses = setting("LOSSES", 0);
    now.changes = setting("CHANGES", 1);
    now.dishonest = setting("DISHONEST", 0);
    now.progress = setting("PROGRESS", 0);
    now.symmetry = setting("SYMMETRY", 0);
    now.forgetting = setting("FORGETTING", 1);
    now.patient = setting("PATIENT", 0);
    now.ordered = setting("ORDERED", !now.mutation);
    now.goal = setting("GOAL", 0);
    find_orders();
    now.certified[0] = GENESIS;
    now.held[0] = BIT(HOSTS) - 1;
    for (h = 0; h < HOSTS; h++) now.value[h] = GENESIS;
    settle();
}
