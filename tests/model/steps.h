/* SPDX-FileCopyrightText: 2026 The akash.avpn authors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sizes, and each step written out for every host, ballot and version: Promela chooses between written options.
 */

#define BIT(h)      (1 << (h))
#define ONES(x)     (((x) & 1) + (((x) >> 1) & 1) + (((x) >> 2) & 1) + (((x) >> 3) & 1) + (((x) >> 4) & 1))

#define CELLS       (VERSIONS * BALLOTS)
#define CELL(v, b)  (((v) - 1) * BALLOTS + (b) - 1)

/* ALL(n, step) writes step(0) to step(n - 1); each nesting needs a family of its own, since cpp doesn't recurse. */
#define EACH_HOST(step) step(0) step(1) IF_3(step(2)) IF_4(step(3)) IF_5(step(4))
#define OF_HOST(step, h) step(h, 1) BALLOT_2(step(h, 2)) BALLOT_3(step(h, 3)) BALLOT_4(step(h, 4))
#define EACH_HOST_AND_BALLOT(step) \
    OF_HOST(step, 0) OF_HOST(step, 1) IF_3(OF_HOST(step, 2)) IF_4(OF_HOST(step, 3)) IF_5(OF_HOST(step, 4))
#define OF_VERSION(step, v) step(v, 1) BALLOT_2(step(v, 2)) BALLOT_3(step(v, 3)) BALLOT_4(step(v, 4))
#define EACH_CELL(step) OF_VERSION(step, 1) VERSION_2(OF_VERSION(step, 2)) VERSION_3(OF_VERSION(step, 3))

/* Nobody, or host 0 to 4, leaves; nobody, or host 0 to 4, is added. */
#define EACH_CHANGE(v, b) \
    ADDING(v, b, 0) ADDING(v, b, 1) ADDING(v, b, 2) IF_3(ADDING(v, b, 4)) IF_4(ADDING(v, b, 8)) IF_5(ADDING(v, b, 16))
#define ADDING(v, b, r) \
    CHANGE(v, b, r, 0) CHANGE(v, b, r, 1) CHANGE(v, b, r, 2) \
    IF_3(CHANGE(v, b, r, 4)) IF_4(CHANGE(v, b, r, 8)) IF_5(CHANGE(v, b, r, 16))

#if HOSTS >= 3
#define IF_3(text) text
#else
#define IF_3(text)
#endif
#if HOSTS >= 4
#define IF_4(text) text
#else
#define IF_4(text)
#endif
#if HOSTS >= 5
#define IF_5(text) text
#else
#define IF_5(text)
#endif
#if BALLOTS >= 2
#define BALLOT_2(text) text
#else
#define BALLOT_2(text)
#endif
#if BALLOTS >= 3
#define BALLOT_3(text) text
#else
#define BALLOT_3(text)
#endif
#if BALLOTS >= 4
#define BALLOT_4(text) text
#else
#define BALLOT_4(text)
#endif
#if VERSIONS >= 2
#define VERSION_2(text) text
#else
#define VERSION_2(text)
#endif
#if VERSIONS >= 3
#define VERSION_3(text) text
#else
#define VERSION_3(text)
#endif
