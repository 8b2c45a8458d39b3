/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What each step needs and does. "now" is Spin's name for the present state.
 *
 * A value is a byte, as far as the protocol looks at it: its voters (bits 0 to 4, one for each host) and the endpoint
 * that the one address is bound to (bits 5 and 6; 0: none). It is never 0, since a value has voters.
 */

#include <stdlib.h>
#include <string.h>

#include "steps.h"

#define VOTERS(value) ((value) & 31)
#define BOUND(value) ((value) >> 5)
#define BINDING(endpoint) ((endpoint) << 5)
#define GENESIS (BIT(FOUNDERS) - 1)
#define SERVES(h) (!((now.left | now.lost) & BIT(h)))

enum mutation {
    FORGETFUL = 1, /* a voter's promise is erased when it accepts */
    HASHLESS,      /* a ballot doesn't name its value: ballots 1 and 2, 3 and 4 are one, with two values */
    STALE,         /* a proposal is checked against the value the voter holds, not against the parent */
    IMPATIENT,     /* the voters that a version names decide that version itself */
    STRANGERS,     /* promises of hosts that are not the parent's voters count */
    UNFINISHED,    /* a value that was only accepted is taken for a parent */
    HASTY,         /* who is voted out leaves before the new voters hold the value */
    RESUMING,      /* a host that lost its disk votes on under its old incarnation */
    BLENDED,        /* what promises show is not proposed byte for byte, but with something built upon it */
    STUBBORN,      /* a proposal is checked against what the voter itself has accepted */
    DEAF,          /* what promises show is not heeded */
    AMNESIAC       /* what was accepted is not shown in promises */
};

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

/* Said only when a counterexample is replayed. */
static int telling;
#define say(...) do { if (telling) printf("step: " __VA_ARGS__); } while (0)

static int is(enum mutation rule) { return now.mutation == rule; }

static int rank(int ballot) { return is(HASHLESS) ? (ballot + 1) / 2 : ballot; }

/* How many ballots there are for a version. */
static int most(int v) { return v == 1 ? now.ballots : now.later; }

static int majority(int set, int voters) { return 2 * ONES(set & voters) > ONES(voters); }

/* --- the rules of values (rules.py): what is bound stays bound to the same; one voter in, one out */

static int keeps(int from, int to) { return !BOUND(from) || BOUND(from) == BOUND(to); }

static int follows(int from, int to)
{
    int before = VOTERS(from), after = VOTERS(to);
    return keeps(from, to) && ONES(before & ~after) <= 1 && ONES(after & ~before) <= 1;
}

/* --- who decides, and what a voter compares with */

static int deciders(int cell) { return VOTERS(is(IMPATIENT) ? now.proposal[cell] : now.parent[cell]); }

static int may_vote(int h, int cell)
{
    int own = is(STALE) ? now.certified[now.version[h]] : now.value[h];
    return now.parent[cell] == own && (is(STRANGERS) || (deciders(cell) & BIT(h)));
}

static int checked_against(int h)
{
    if (is(STUBBORN) && now.accepted[h]) return now.proposal[CELL(now.version[h] + 1, now.accepted[h])];
    return now.value[h];
}

/* --- a proposer draws a ballot. It may be anybody: nothing but the signatures that exist restricts what it does */

static int child(int v, int removed, int added, int endpoint)
{
    int value = (now.base[v] & ~removed) | added;
    return endpoint ? VOTERS(value) | BINDING(endpoint) : value;
}

static int may_compose(int v, int b, int removed, int added, int endpoint)
{
    int cell = CELL(v, b), from;
    if (now.fresh || v > now.versions || b > most(v) || !now.alive[cell] || now.proposal[cell]) return 0;
    from = now.base[v];
    if ((from & removed) != removed || (from & added) || !VOTERS(child(v, removed, added, endpoint))) return 0;
    if (endpoint == BOUND(from) && endpoint) return 0;
    if (endpoint && BOUND(from) && !now.dishonest) return 0;
    if (endpoint == 2 && !now.named) return 0;
    if (!removed && !added) return 1;
    /* Consent of who is added, and readiness: a majority of the new voters has signed that it holds the parent. */
    return now.changes && !(now.lost & added) && majority(now.held[v - 1], VOTERS(child(v, removed, added, 0)));
}

static void compose(int v, int b, int removed, int added, int endpoint)
{
    int cell = CELL(v, b);
    now.proposal[cell] = child(v, removed, added, endpoint);
    now.parent[cell] = now.base[v];
    now.fresh = is(HASHLESS) ? 0 : 1 + cell;
    say("compose %d %d %d %d\n", v, b, VOTERS(now.proposal[cell]), BOUND(now.proposal[cell]));
}

/* --- prepare (acceptor.py, _prepare) */

static int may_promise(int h, int b)
{
    int cell = CELL(now.version[h] + 1, b);
    if (now.version[h] >= now.versions || b > most(now.version[h] + 1) || !SERVES(h)) return 0;
    if (!now.proposal[cell] || (now.fresh && now.fresh != 1 + cell)) return 0;
    return rank(b) > rank(now.promised[h]) && may_vote(h, cell);
}

static int shows(int cell, int h)
{
    int b = cell % BALLOTS + 1, twin = b % 2 ? b + 1 : b - 1; /* the same ballot with another value */
    if (is(HASHLESS) && twin <= BALLOTS && !now.shown[cell * HOSTS + h]) cell += twin - b;
    return now.shown[cell * HOSTS + h] - 1;
}

/* Whether promises permit the ballot to propose its value (messages.py, check_promises): those of a majority of the
 * parent's voters, of which none shows an accepted ballot, or the highest shown one is of the same value. */
static int is_proven(int v, int b)
{
    int cell = CELL(v, b), highest, h;
    for (highest = 0; highest < b; highest++) {
        int set = 0, found = !highest, other = CELL(v, highest);
        if (highest) {
            if (!now.proposal[other] || rank(highest) >= rank(b)) continue;
            if (now.proposal[other] != now.proposal[cell] && !is(DEAF)
                && !(is(BLENDED) && follows(now.proposal[other], now.proposal[cell]))) continue;
        }
        for (h = 0; h < HOSTS; h++) {
            int ballot = shows(cell, h);
            if (ballot < 0 || rank(ballot) > rank(highest) || rank(ballot) >= rank(b)) continue;
            set |= BIT(h);
            found |= ballot == highest;
        }
        if (found && majority(set, deciders(cell))) return 1;
        if (found && is(STRANGERS) && 2 * ONES(set) > ONES(deciders(cell))) return 1;
    }
    return 0;
}

/* Ballots never go back at a voter, whatever it remembers. */
static void check_order(int h, int b, int is_back)
{
    if (is_back && now.ordered) {
        say("wrong order %d %d\n", now.version[h] + 1, h);
        now.wrong = 1;
    }
    now.spoken[h] = b;
}

static void promise(int h, int b)
{
    int v = now.version[h] + 1, cell = CELL(v, b);
    now.promised[h] = b;
    now.fresh = 0;
    if (!now.proven[cell]) now.shown[cell * HOSTS + h] = 1 + (is(AMNESIAC) ? 0 : now.accepted[h]);
    now.proven[cell] |= is_proven(v, b);
    say("promise %d %d %d %d\n", h, v, b, now.accepted[h]);
    check_order(h, b, b <= now.spoken[h]);
}

/* --- accept (acceptor.py, _accept and _check_proposal) */

static int may_accept(int h, int b)
{
    int cell = CELL(now.version[h] + 1, b);
    if (now.fresh || now.version[h] >= now.versions || b > most(now.version[h] + 1) || !SERVES(h)) return 0;
    if (!now.proven[cell] || !may_vote(h, cell)) return 0;
    if (rank(b) < rank(now.promised[h]) || rank(b) == rank(now.accepted[h])) return 0;
    return follows(checked_against(h), now.proposal[cell]);
}

/* Every certified value descends from the certified one before, and keeps what that one binds. */
static void check_history(void)
{
    int v;
    for (v = 1; v <= now.versions; v++) {
        if (!now.certified[v] || (!now.certified[v - 1] && now.patient)) continue;
        if (now.built_on[v] != now.certified[v - 1]) {
            say("wrong descent %d\n", v);
            now.wrong = 1;
        } else if (!keeps(now.certified[v - 1], now.certified[v])) {
            say("wrong binding %d\n", v);
            now.wrong = 1;
        }
    }
}

static void accept(int h, int b)
{
    int v = now.version[h] + 1, cell = CELL(v, b);
    now.accepted[h] = b;
    now.promised[h] = is(FORGETFUL) ? 0 : b;
    now.takers[cell] |= BIT(h);
    say("accept %d %d %d %d %d\n", h, v, b, VOTERS(now.proposal[cell]), BOUND(now.proposal[cell]));
    check_order(h, b, b < now.spoken[h]);
    if (!majority(now.takers[cell], deciders(cell))) return;
    say("certified %d %d %d\n", v, VOTERS(now.proposal[cell]), BOUND(now.proposal[cell]));
    if (now.certified[v] && (now.certified[v] != now.proposal[cell] || now.built_on[v] != now.parent[cell])) {
        say("wrong two %d\n", v);
        now.wrong = 1;
        return;
    }
    now.certified[v] = now.proposal[cell];
    now.built_on[v] = now.parent[cell];
    check_history();
}

/* --- learn: value and certificate come from whoever has them */

static int may_learn(int h)
{
    return !now.fresh && now.version[h] < now.versions && !(now.lost & BIT(h)) && now.certified[now.version[h] + 1];
}

static void hold(int h, int value)
{
    now.version[h]++;
    now.value[h] = value;
    now.promised[h] = now.accepted[h] = now.spoken[h] = 0;
    now.left &= ~BIT(h);
    now.held[now.version[h]] |= BIT(h);
}

static void learn(int h)
{
    hold(h, now.certified[now.version[h] + 1]);
    say("learn %d %d\n", h, now.version[h]);
}

static int may_skip(int h) { return is(STALE) && may_learn(h) && SERVES(h); }

static void skip_value(int h)
{
    now.version[h]++;
    now.promised[h] = now.accepted[h] = now.spoken[h] = 0;
    say("skip %d %d\n", h, now.version[h]);
}

static int may_presume(int h, int b)
{
    return is(UNFINISHED) && !now.fresh && now.version[h] < now.versions && b <= most(now.version[h] + 1) && SERVES(h)
        && now.takers[CELL(now.version[h] + 1, b)];
}

static void presume(int h, int b)
{
    say("presume %d %d %d\n", h, now.version[h] + 1, b);
    hold(h, now.proposal[CELL(now.version[h] + 1, b)]);
}

/* --- who isn't a voter any more serves until a majority of the new voters holds the value; then a tombstone is left */

static int may_leave(int h)
{
    int v = now.version[h];
    if (now.fresh || !SERVES(h) || !v || (now.value[h] & BIT(h)) || !(now.built_on[v] & BIT(h))) return 0;
    return is(HASTY) || majority(now.held[v], VOTERS(now.value[h]));
}

static void leave(int h)
{
    now.left |= BIT(h);
    say("leave %d %d\n", h, now.version[h]);
}

/* --- the disk is lost. The host comes back as another incarnation, which to the protocol is another (spare) host */

static int may_lose(int h) { return !now.fresh && now.losses && !(now.lost & BIT(h)); }

static void lose(int h)
{
    now.losses--;
    if (now.version[h] || !is(RESUMING)) now.spoken[h] = 0;
    now.version[h] = now.promised[h] = now.accepted[h] = 0;
    now.value[h] = now.certified[0];
    now.left &= ~BIT(h);
    if (!is(RESUMING)) now.lost |= BIT(h);
    say("lose %d\n", h);
}
