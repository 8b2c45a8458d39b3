/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the ledger is not: one register (CASPaxos, Rystsov 2018) whose value holds the voters, old and new while they
 * change, and needs majorities of both. A round reads the highest value that a quorum of that value's own voters
 * shows, and writes the next one to a quorum of the next one's. It is kept here because it fails, and how.
 *
 * Compiled with -DHOSTS=h -DFOUNDERS=f -DBALLOTS=b.
 */

#define VERSIONS 1
#include "steps.h"

/* A value: old voters (bits 0 to 3), new voters (bits 4 to 7; the same while nothing changes), binding (bits 8, 9). */
#define OLD(value)       ((value) & 15)
#define NEW(value)       (((value) >> 4) & 15)
#define BOUND(value)     ((value) >> 8)
#define VALUE(old, new, bound)  ((old) | ((new) << 4) | ((bound) << 8))
#define MAJORITY(set, voters)   (2 * ONES((set) & (voters)) > ONES(voters))
#define QUORUM(set, value)      (MAJORITY(set, OLD(value)) && MAJORITY(set, NEW(value)))

byte promised[HOSTS], accepted[HOSTS];   /* ballots; 0: none, and the founders' value */
short value[BALLOTS + 1];                /* what is written under the ballot; 0: nothing yet. Ballot 0: the founders' */
byte promisers[BALLOTS + 1];             /* hosts that promised the ballot */
byte highest[BALLOTS + 1];               /* the highest accepted ballot that they showed */
byte takers[BALLOTS + 1];                /* hosts that accepted what was written */
byte bound;                              /* what was acknowledged; 0: nothing */

#define PROMISE(h, b) \
    :: d_step { promised[h] < b && value[b] == 0 -> \
        promised[h] = b; promisers[b] = promisers[b] | BIT(h); \
        if :: accepted[h] > highest[b] -> highest[b] = accepted[h] :: else fi; \
        printf("step: promise %d 1 %d %d\n", h, b, accepted[h]) }

#define READ(b)  value[highest[b]]
#define WRITE(b, needs, next) \
    :: d_step { value[b] == 0 && promisers[b] && QUORUM(promisers[b], READ(b)) && (needs) -> \
        value[b] = next; \
        printf("step: write %d %d %d %d %d\n", b, highest[b], OLD(value[b]), NEW(value[b]), BOUND(value[b])) }

#define STABLE(b)  (OLD(READ(b)) == NEW(READ(b)))
/* The address is bound; voters begin to change, one for another; the change is completed. */
#define BIND(b, who)  WRITE(b, BOUND(READ(b)) == 0, (READ(b) | ((who) << 8)))
#define CHANGE(b, r, a) \
    WRITE(b, STABLE(b) && (OLD(READ(b)) & (r)) == (r) && !(OLD(READ(b)) & (a)) && ((r) | (a)), \
        VALUE(OLD(READ(b)), OLD(READ(b)) & ~(r) | (a), BOUND(READ(b))))
#define COMPLETE(b)  WRITE(b, !STABLE(b), VALUE(NEW(READ(b)), NEW(READ(b)), BOUND(READ(b))))

#define ACCEPT(h, b) \
    :: d_step { promised[h] <= b && accepted[h] != b && value[b] != 0 -> \
        accepted[h] = b; promised[h] = b; takers[b] = takers[b] | BIT(h); \
        printf("step: take %d %d %d %d %d\n", h, b, OLD(value[b]), NEW(value[b]), BOUND(value[b])); \
        if \
        :: QUORUM(takers[b], value[b]) && BOUND(value[b]) -> \
            printf("step: acknowledged %d %d\n", b, BOUND(value[b])); \
            if \
            :: bound && bound != BOUND(value[b]) -> printf("step: wrong binding 0\n"); assert(false) \
            :: else \
            fi; \
            bound = BOUND(value[b]) \
        :: else \
        fi }

#define SWAP(b, r)   CHANGE(b, r, 1) CHANGE(b, r, 2) IF_3(CHANGE(b, r, 4)) IF_4(CHANGE(b, r, 8))
#define WRITES(b) \
    BIND(b, 1) BIND(b, 2) COMPLETE(b) SWAP(b, 1) SWAP(b, 2) IF_3(SWAP(b, 4)) IF_4(SWAP(b, 8))

init {
    value[0] = VALUE(BIT(FOUNDERS) - 1, BIT(FOUNDERS) - 1, 0);
end:
    do
    EACH_HOST_AND_BALLOT(PROMISE)
    EACH_HOST_AND_BALLOT(ACCEPT)
    WRITES(1) BALLOT_2(WRITES(2)) BALLOT_3(WRITES(3)) BALLOT_4(WRITES(4))
    od
}
