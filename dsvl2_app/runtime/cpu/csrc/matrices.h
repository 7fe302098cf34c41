/* A few rows of activations against matrices that are read once, at the speed at which memory delivers them.
 *
 * A row of a matrix is widened to float32 in registers and multiplied with up to MOST rows of activations at once, one
 * row after the other: memory delivers one long stream faster than several. Sums are float32.
 */
#pragma once
#include "nibbles.h"

/* One row of weights times `count` rows of activations, a constant where this is inlined. One or two of them have
 * several sums each, which do not wait for one another. */
INLINE void multiply(const char *weights, enum Kind kind, long columns, const float *const *inputs,
                     const uint16_t *const *halves, int count, float (*outputs)[BLOCK]) {
    const enum Kind alone = kind >= BFLOAT16_PAIRS ? kind - TO_PAIRS : kind;
    const long size = SIZES[kind], line = LINE / size;
    const int each = count == 1 ? 4 : count == 2 ? 2 : 1;
    Floats sums[MOST][4] = {};
    long column = 0;
    for (; column + line <= columns; column += line) {
        __builtin_prefetch(weights + column * size + AHEAD);
#if HAS_PAIRS
        for (int part = 0; kind >= BFLOAT16_PAIRS && part < line; part += 2 * LANES) {
            const __m512bh wide = load_pairs(weights + (column + part) * size, kind);
#pragma GCC unroll 8
            for (int i = 0; i < count; i++)
                sums[i][0] = (Floats)_mm512_dpbf16_ps((__m512)sums[i][0], wide,
                                                      (__m512bh)_mm512_loadu_si512(halves[i] + column + part));
        }
        if (kind >= BFLOAT16_PAIRS)
            continue;
#endif
#pragma GCC unroll 4
        for (int part = 0; part < line / LANES; part++) {
            const Floats wide = widen(weights + (column + part * LANES) * size, alone);
#pragma GCC unroll 8
            for (int i = 0; i < count; i++)
                sums[i][part % each] += wide * load(inputs[i] + column + part * LANES);
        }
    }
    for (; column + LANES <= columns; column += LANES)
#pragma GCC unroll 8
        for (int i = 0; i < count; i++)
            sums[i][0] += widen(weights + column * size, alone) * load(inputs[i] + column);
#pragma GCC unroll 8
    for (int i = 0; i < count; i++) {
        *outputs[i] = sum(sums[i][0] + sums[i][1] + (sums[i][2] + sums[i][3]));
        for (long rest = column; rest < columns; rest++)
            *outputs[i] += widen_one(weights + rest * size, alone) * inputs[i][rest];
    }
}

/* A body per format and number of inputs; `codes` are a row's scales, of int4, for which `rows` are numbers of those in
 * bytes. */
#define CASE(count, kind) \
    case count: \
        if (kind == INT4 || kind == INT4_BYTES) \
            multiply_int4(weights, codes, kind, columns, inputs, split, rows, count, outputs); \
        else \
            multiply(weights, kind, columns, inputs, halves, count, outputs); \
        break;
#define MULTIPLY(name, kind) \
    static void multiply_##name(const char *weights, const uint8_t *codes, long columns, const float *const *inputs, \
                                const uint16_t *const *halves, const struct Split *split, const long *rows, int count, \
                                float (*outputs)[BLOCK]) { \
        switch (count) { \
            CASE(1, kind) CASE(2, kind) CASE(3, kind) CASE(4, kind) CASE(5, kind) CASE(6, kind) CASE(7, kind) \
            CASE(8, kind) \
        } \
    }
MULTIPLY(float32, FLOAT32)
MULTIPLY(bfloat16, BFLOAT16)
MULTIPLY(int8, INT8)
MULTIPLY(nibble_floats, INT4)
MULTIPLY(bfloat16_pairs, BFLOAT16_PAIRS)
MULTIPLY(int8_pairs, INT8_PAIRS)
MULTIPLY(nibble_bytes, INT4_BYTES)
static void (*const BODIES[])(const char *, const uint8_t *, long, const float *const *, const uint16_t *const *,
                              const struct Split *, const long *, int, float (*)[BLOCK]) = {
    multiply_float32,        multiply_bfloat16,   multiply_int8,         multiply_nibble_floats,
    multiply_bfloat16_pairs, multiply_int8_pairs, multiply_nibble_bytes,
};

/* How many blocks of rows there are. */
INLINE long count_blocks(long rows) {
    return (rows + BLOCK - 1) / BLOCK;
}

/* sums[i] = up to BLOCK rows of matrix `which`, from `first` on, times row order[i] / pairs_per_row of `rows`. Returns
 * how many rows. */
static int multiply_block(const struct Matrix *matrix, long which, long first, struct Rows rows, const long *order,
                          long pairs_per_row, long count, float (*sums)[BLOCK]) {
    const int height = first + BLOCK <= matrix->outputs ? BLOCK : (int)(matrix->outputs - first);
    const int narrow = matrix->kind == INT4 ? rows.split != NULL : rows.halves && matrix->kind != FLOAT32;
    const enum Kind kind = matrix->kind + (narrow ? TO_PAIRS : 0);
    const long bytes = bytes_of(kind, matrix->inputs), groups = count_groups(matrix->inputs);
    const char *weights = matrix->weights + bytes_of(kind, which * matrix->stride) + first * bytes;
    const long place = which * matrix->outputs + first;
    const float *scales = matrix->kind == INT8 ? (const float *)matrix->scales + place : 0;
    const uint8_t *codes = matrix->kind == INT4 ? (const uint8_t *)matrix->scales + place * groups : 0;
    if (scales) {
        __builtin_prefetch(scales);
        __builtin_prefetch(scales + 8 * BLOCK);
    }
    for (long done = 0; done < count; done += MOST) {
        const int some = count - done < MOST ? (int)(count - done) : MOST;
        const float *inputs[MOST];
        const uint16_t *halves[MOST];
        long places[MOST];
        for (int i = 0; i < some; i++) {
            places[i] = order[done + i] / pairs_per_row;
            const long from = places[i] * rows.width;
            inputs[i] = rows.wide + from;
            halves[i] = rows.halves ? rows.halves + from : 0;
        }
        for (int row = 0; row < height; row++)
            BODIES[kind](weights + row * bytes, codes ? codes + row * groups : 0, matrix->inputs, inputs, halves,
                         rows.split, places, some, (float(*)[BLOCK])(sums[done] + row));
    }
    if (scales)
        for (long i = 0; i < count; i++)
            for (int row = 0; row < height; row++)
                sums[i][row] *= scales[row];
    return height;
}

/* Pairs by expert: those of expert e are order[starts[e]], order[starts[e] + 1] ... without `experts` all have 0. */
static void sort_pairs(const int64_t *experts, long pairs, long count, long *starts, long *order) {
    memset(starts, 0, (count + 1) * sizeof *starts);
    for (long pair = 0; pair < pairs; pair++)
        starts[experts ? experts[pair] : 0]++;
    for (long expert = 1; expert <= count; expert++)
        starts[expert] += starts[expert - 1];
    for (long pair = pairs; pair-- > 0;)
        order[--starts[experts ? experts[pair] : 0]] = pair;
}
