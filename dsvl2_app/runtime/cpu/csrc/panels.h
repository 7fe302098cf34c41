/* Many rows of activations: TALL rows times up to WIDEST columns stay in registers, multiplied in pairs of bfloat16.
 *
 * The left side is read where it lies, a pair of neighbouring inputs of a row at a time. The right side is a panel: for
 * each of those pairs one to MOST_VECTORS vectors, a column to a lane. A weight is thus never reordered; what becomes a
 * panel is tokens, or keys and values of a head. In terms of BLIS it is a packed panel of B, and TALL x WIDEST is MR x NR.
 */
#pragma once
#include "vectors.h"

#define TALL 8 /* rows, and with MOST_VECTORS as many sums as there are registers for */
#define MOST_VECTORS 3
#define WIDEST (MOST_VECTORS * LANES)

#if HAS_PAIRS
#define HAS_PANELS 1

typedef float Sums[TALL][WIDEST];

/* Two places in memory that will be needed next, and the bytes of each that are fetched per pair of inputs. */
struct Ahead {
    const char *from[2];
    long step;
};

/* Columns are cut into as few panels as can be, of about the same width: that of the next one, in vectors. */
INLINE int panel_vectors(long columns) {
    const long vectors = (columns + LANES - 1) / LANES, panels = (vectors + MOST_VECTORS - 1) / MOST_VECTORS;
    return (int)((vectors + panels - 1) / panels);
}

/* `vectors` is a constant where this is inlined. */
INLINE void multiply_vectors(const char *const *rows, const Pair *panel, long pairs, const struct Ahead *ahead,
                             int vectors, Sums sums) {
    __m512 found[TALL][MOST_VECTORS] = {};
    for (long pair = 0; pair < pairs; pair++) {
        __m512bh columns[MOST_VECTORS];
        __builtin_prefetch(ahead->from[pair & 1] + pair * ahead->step);
#pragma GCC unroll 3
        for (int vector = 0; vector < vectors; vector++)
            columns[vector] = (__m512bh)_mm512_loadu_si512(panel + (pair * vectors + vector) * LANES);
#pragma GCC unroll 8
        for (int row = 0; row < TALL; row++) {
            int32_t both; /* where rows lie apart by an odd number, not at a multiple of its size */
            memcpy(&both, rows[row] + pair * sizeof both, sizeof both);
#pragma GCC unroll 3
            for (int vector = 0; vector < vectors; vector++)
                found[row][vector] =
                    _mm512_dpbf16_ps(found[row][vector], (__m512bh)_mm512_set1_epi32(both), columns[vector]);
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < TALL; row++)
#pragma GCC unroll 3
        for (int vector = 0; vector < vectors; vector++)
            _mm512_storeu_ps(sums[row] + vector * LANES, found[row][vector]);
}

/* sums[row] = row times the panel's columns; meanwhile what lies ahead is fetched. */
static void multiply_panel(const char *const *rows, const Pair *panel, long pairs, const struct Ahead *ahead,
                           int vectors, Sums sums) {
    switch (vectors) {
        case 1: multiply_vectors(rows, panel, pairs, ahead, 1, sums); break;
        case 2: multiply_vectors(rows, panel, pairs, ahead, 2, sums); break;
        case 3: multiply_vectors(rows, panel, pairs, ahead, 3, sums); break;
    }
}

/* A panel whose columns are rows of memory, `count` of them; what is left of the last vector repeats the last one. */
static void lay_rows(const char *const *rows, long count, long pairs, int vectors, Pair *panel) {
    for (long column = 0; column < vectors * LANES; column++) {
        const char *from = rows[column < count ? column : count - 1];
        for (long pair = 0; pair < pairs; pair++)
            memcpy(&panel[pair * vectors * LANES + column], from + pair * sizeof(Pair), sizeof(Pair));
    }
}
#else
#define HAS_PANELS 0
#endif
