/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The ledger's protocol with changes of its voters, for small sizes: docs/model.md says what is modelled, what each
 * part is in the code, and why the reductions are sound. Here stand the state and the steps that may be taken in it;
 * what a step needs and does is in voter.c, what can't matter any more in tidy.c, progress in progress.c.
 *
 * Compiled with -DHOSTS=h -DFOUNDERS=f -DVERSIONS=n -DBALLOTS=b; the settings are read from the environment when a
 * search begins, so that one compilation serves every mutation.
 */

#include "steps.h"

/* --- settings: constant during a search */
byte mutation;      /* which rule is taken out, voter.c; 0: none */
byte ballots;       /* ballots 1 to this for version 1, at most BALLOTS */
byte later;         /* the same for each version after it */
byte versions;      /* versions 1 to this, at most VERSIONS; the founders' is 0 */
byte losses;        /* how many disks may be lost */
byte changes;       /* whether voters may be changed */
byte dishonest;     /* whether proposals that break the rules of values are made, too */
byte progress;      /* whether to check in every state that a round can complete */
byte symmetry;      /* whether states that differ in the names of hosts only are one, symmetry.c */
byte forgetting;    /* whether what can't matter any more is forgotten, tidy.c */
byte patient;       /* whether a parent without a certificate is wrong only once another value has got it */
byte ordered;       /* whether it is wrong that ballots go back at a voter */
byte goal;          /* something that should be possible, tidy.c; 0: nothing is looked for */

/* --- hosts: what is on a disk, and so survives a crash */
byte version[HOSTS];   /* newest certified version that is known (0: the founders, from the chain) */
byte value[HOSTS];     /* the certified value that is held, normally of this version */
byte promised[HOSTS];  /* ballot promised for the version after it; 0: none */
byte accepted[HOSTS];  /* ballot accepted for it; 0: none */
byte left;             /* hosts that left: they keep a tombstone of their version and no value */
byte lost;             /* hosts whose disk is gone: the incarnation never speaks again */

/* --- what anybody has signed or named, for each version and ballot; it may reach anybody at any time, or never */
byte proposal[CELLS];        /* the value that the ballot names; 0: no such ballot yet */
byte parent[CELLS];          /* that value's parent */
byte shown[CELLS * HOSTS];   /* who promised the ballot: 1 + the accepted ballot that was shown; 0: no promise */
byte proven[CELLS];          /* promises exist that permit to propose the value */
byte takers[CELLS];          /* hosts that accepted it */
byte fresh;                  /* 1 + the cell of a ballot that was just composed: its first promise comes next */

/* --- facts */
byte certified[VERSIONS + 1];  /* the value that a certificate exists for; 0: none */
byte built_on[VERSIONS + 1];   /* that value's parent */
byte held[VERSIONS + 1];       /* hosts that have signed that they hold the version's value and certificate */
byte spoken[HOSTS];            /* ballot last promised or accepted for the version after the host's: what it did, not what
                                  it remembers */
byte wrong;                    /* what must not be has happened */

/* --- follows from the rest, tidy.c */
byte alive[CELLS];             /* some voter can still promise or accept the ballot */
byte base[VERSIONS + 1];       /* the value whose children are proposed for the version */
byte named;                    /* endpoint 1 occurs in a value, so there may be an endpoint 2 */

c_code {
    \#include "voter.c"
    \#include "symmetry.c"
    \#include "tidy.c"
    \#include "progress.c"
};

#define STEP(needs, does)  :: d_step { c_expr { needs } -> c_code { does; settle(); }; assert(!wrong) }

/* A proposer draws a ballot for a child of the newest certified value: r (a set of at most one host) leaves the
 * voters, a is added, the address is bound to an endpoint. */
#define COMPOSE(v, b, r, a, who)  STEP((may_compose(v, b, r, a, who)), compose(v, b, r, a, who))
#define CHANGE(v, b, r, a)        COMPOSE(v, b, r, a, 0)
#define BIND(v, b)                COMPOSE(v, b, 0, 0, 1) COMPOSE(v, b, 0, 0, 2)
#define COMPOSITIONS(v, b)        EACH_CHANGE(v, b) BIND(v, b)

/* A request reaches a voter. */
#define PROMISE(h, b)  STEP((may_promise(h, b)), promise(h, b))
#define ACCEPT(h, b)   STEP((may_accept(h, b)), accept(h, b))
#define LEARN(h)       STEP((may_learn(h)), learn(h))

/* What happens to a host. */
#define LEAVE(h)       STEP((may_leave(h)), leave(h))
#define LOSE(h)        STEP((may_lose(h)), lose(h))

/* Steps of mutations. */
#define SKIP(h)        STEP((may_skip(h)), skip_value(h))
#define PRESUME(h, b)  STEP((may_presume(h, b)), presume(h, b))

init {
    d_step {
        c_code { begin(); }
    }
end:
    do
    EACH_CELL(COMPOSITIONS)
    EACH_HOST_AND_BALLOT(PROMISE)
    EACH_HOST_AND_BALLOT(ACCEPT)
    EACH_HOST(LEARN)
    EACH_HOST(LEAVE)
    EACH_HOST(LOSE)
    EACH_HOST(SKIP)
    EACH_HOST_AND_BALLOT(PRESUME)
    :: d_step { c_expr { (is_stuck()) } -> assert(false) }
    od
}
