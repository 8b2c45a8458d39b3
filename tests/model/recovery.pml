/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Recovery by a higher generation, and the old majority that isn't dead. Hosts 0 to 2 are the old voters; the tenant
 * takes 0 and 1 for lost and raises the generation with the founders 2, 3 and 4. That a generation decides each of its
 * versions once is the other model's matter; here one last version of the old generation binds the address to
 * endpoint 1 while the new generation starts, and then binds it to endpoint 2 if it is free.
 *
 * Time goes in ticks. A host's view of the chain is of the tick it was read at; AGE is how old it may be for a vote.
 * Clocks of hosts may be wrong by up to SKEW ticks, the chain's time is one.
 *
 * Compiled with -DTICKS=n -DAGE=a -DSKEW=s -DMUTATION=m.
 */

#define HOSTS 5
#define BALLOTS 1
#define VERSIONS 1
#include "steps.h"

#define AGELESS    1   /* voters vote on a view of any age */
#define EAGER      2   /* the new generation allocates as soon as it has started */
#define LENIENT    3   /* who has seen the higher generation still votes in the lower one */
#define HEEDLESS   4   /* the start takes the base alone, whatever its founders have accepted */
#define FEW        5   /* the start is content with a majority of the founders, whoever of the old voters is among them */

#define OLD        7
#define SURVIVORS  4   /* old voters that are founders */
#define FOUNDERS_2 28
#define MAJORITY(set, voters)  (2 * ONES((set) & (voters)) > ONES(voters))

byte tick = 1;
byte view[HOSTS];      /* the tick of the view; 0: a view of before everything */
byte raised;           /* the tick of the block that raised the generation; 0: not yet */
bit base;              /* whether what the tenant chose as base has the old binding */
byte old_takers;       /* old voters that accepted the last version of the old generation */
byte seen;             /* hosts that answered in the new generation */
byte showing;          /* of those, who had accepted the old version by then */
bit started, start;    /* the new generation's first value; whether it has the old binding */
bit bound;             /* the new generation has bound the address to endpoint 2 */

#define SEES(h)     (raised && view[h] >= raised)
#define FRESH(h)    (MUTATION == AGELESS || tick <= view[h] + AGE + SKEW)

#define READ(h) \
    :: d_step { view[h] < tick -> view[h] = tick; printf("step: read %d %d\n", h, tick) }

#define ACCEPT_OLD(h) \
    :: d_step { (OLD & BIT(h)) && !(old_takers & BIT(h)) && FRESH(h) && (!SEES(h) || MUTATION == LENIENT) \
        && (!(seen & BIT(h)) || MUTATION == LENIENT) -> \
        old_takers = old_takers | BIT(h); \
        printf("step: old %d %d\n", h, tick); \
        if \
        :: MAJORITY(old_takers, OLD) -> printf("step: agreed\n"); \
            if :: bound -> printf("step: wrong fence 0\n"); assert(false) :: else fi \
        :: else \
        fi }

#define ANSWER(h) \
    :: d_step { (FOUNDERS_2 & BIT(h)) && SEES(h) && FRESH(h) && !started && !(seen & BIT(h)) -> \
        seen = seen | BIT(h); showing = showing | (old_takers & BIT(h)); \
        printf("step: answer %d %d\n", h, (old_takers >> h) & 1) }

#define WAITED(h)  ((view[h] >= raised + (MUTATION == EAGER -> 0 : 2 * AGE)) << (h))

init {
end:
    do
    :: d_step { tick < TICKS -> tick++; printf("step: tick %d\n", tick) }
    /* The tenant collects what the survivors hold, chooses, and raises the generation. */
    :: d_step { !raised -> raised = tick; base = (old_takers & SURVIVORS) != 0; printf("step: raise %d %d\n", tick, base) }
    EACH_HOST(READ)
    EACH_HOST(ACCEPT_OLD)
    EACH_HOST(ANSWER)
    :: d_step { !started && MAJORITY(seen, FOUNDERS_2) && (MUTATION == FEW || (seen & SURVIVORS) == SURVIVORS) ->
        started = 1;
        start = base || (MUTATION != HEEDLESS && showing);
        printf("step: start %d\n", start) }
    /* A majority of the new voters whose views show that twice AGE has passed since the raising block. */
    :: d_step { started && !start && !bound && MAJORITY(WAITED(2) | WAITED(3) | WAITED(4), FOUNDERS_2) ->
        bound = 1;
        printf("step: bind 2\n");
        if
        :: MAJORITY(old_takers, OLD) && (old_takers & SURVIVORS) -> printf("step: wrong kept 0\n"); assert(false)
        :: else
        fi }
    od
}
