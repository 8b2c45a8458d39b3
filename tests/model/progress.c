/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Progress. Say that from the present state on the network behaves and some hosts, any set that is enough, stay up:
 * does one proposer, which knows nothing but the founders, get a version certified that is newer than every one
 * before, and does it descend from every one before? It is played through on copies. Ballots are as many as it takes, beyond the search's bound.
 */

static int newest(void)
{
    int v = 0, found = 0;
    for (v = 1; v <= now.versions; v++)
        if (now.certified[v]) found = v;
    return found;
}

/* The newest version that a majority of its own voters came to hold: its voters are the ones that must be up. */
static int established(void)
{
    int v, found = 0;
    for (v = 1; v <= now.versions; v++)
        if (now.certified[v] && majority(now.held[v], VOTERS(now.certified[v]))) found = v;
    return found;
}

/* Hosts of "up" that take what is accepted, when the newest value among them is "present", of version "level". */
static int accepting(int up, int level, int present, int *following)
{
    int h, set = 0, highest = 0;
    int accepted[HOSTS];
    for (h = 0; h < HOSTS; h++) {
        accepted[h] = 0;
        if (!(up & BIT(h) & VOTERS(present))) continue;
        if (now.version[h] < level) set |= BIT(h); /* it is brought up to date */
        if (now.version[h] != level || !SERVES(h)) continue;
        set |= BIT(h);
        accepted[h] = now.accepted[h];
        if (accepted[h] > highest) highest = accepted[h];
    }
    *following = highest ? now.proposal[CELL(level + 1, highest)] : present;
    for (h = 0; h < HOSTS; h++) {
        int own = is(STUBBORN) && accepted[h] ? now.proposal[CELL(level + 1, accepted[h])] : present;
        if (!follows(own, *following)) set &= ~BIT(h);
    }
    return set;
}

static int goes_on(int up, int least, int last)
{
    int level = 0, present = now.certified[0], first = 1, h;
    for (h = 0; h < HOSTS; h++)
        if ((up & BIT(h)) && SERVES(h) && now.version[h] > level) {
            level = now.version[h];
            present = now.value[h];
        }
    while (level <= last) {
        int following = present, set;
        /* Later voters than those that were asked to be up: enough if they are later than what we began with. */
        if (!majority(up, VOTERS(present)) && level > least) return 1;
        set = first ? accepting(up, level, present, &following) : up; /* afterwards all that are up are alike */
        if (!majority(set, VOTERS(present))) {
            say("stuck %d %d %d %d\n", up, set, level, VOTERS(present));
            return 0;
        }
        first = 0;
        level++;
        present = following;
        if (level <= last && present != now.certified[level]) {
            say("lost %d %d %d %d\n", up, level, VOTERS(now.certified[level]), BOUND(now.certified[level]));
            return 0;
        }
    }
    return 1;
}

static int can_go_on(void)
{
    int up, least = established(), last = newest();
    for (up = 1; up < BIT(HOSTS); up++)
        if (!(up & now.lost) && majority(up, VOTERS(now.certified[least])) && !goes_on(up, least, last)) return 0;
    return 1;
}

static int is_stuck(void) { return now.progress && !now.fresh && !can_go_on(); }
