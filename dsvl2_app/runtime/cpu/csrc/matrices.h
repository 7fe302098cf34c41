/* A few rows of activations against matrices that are read once, at the speed at which memory delivers them.
 *
 * A row of a matrix is widened to float32 in registers and multiplied with up to MOST rows of activations at once, one
 * row after the other: memory delivers one long stream faster than several. Sums are float32.
 */
#pragma once
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif
#ifdef __AVX512BF16__
#define HAS_PAIRS 1
#else
#define HAS_PAIRS 0
#endif

#define LANES 16
#define LINE 64 /* bytes of a cache line */
#define AHEAD 8192 /* bytes that are fetched before they are needed */
#define BLOCK 4 /* rows of a matrix, the least that a thread takes */
#define MOST 8 /* inputs */
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));

/* Of numbers in memory. With bfloat16 activations bfloat16 and int8 weights are multiplied in PAIRS where the processor
 * has an instruction for that; both fit into a bfloat16 as they are. */
enum Kind { FLOAT32, BFLOAT16, INT8, BFLOAT16_PAIRS, INT8_PAIRS };
static const int SIZES[] = {4, 2, 1, 2, 1};
enum { TO_PAIRS = BFLOAT16_PAIRS - BFLOAT16 };

/* Matrices [outputs, inputs] with `stride` numbers between the beginnings of two; scales only of int8. */
struct Matrix {
    const char *weights;
    const float *scales;
    long stride, outputs, inputs, kind;
};

/* Activations [rows, width], and the same as bfloat16 where they may be multiplied in pairs. */
struct Rows {
    float *wide;
    uint16_t *halves;
    long width;
};

#define INLINE static inline __attribute__((always_inline))

INLINE Floats load(const float *from) {
    Floats lanes;
    memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

/* LANES weights as float32. A bfloat16 is the upper half of a float32. */
INLINE Floats widen(const char *from, enum Kind kind) {
    if (kind == FLOAT32)
        return load((const float *)from);
    if (kind == BFLOAT16) {
        Halves halves;
        memcpy(&halves, from, sizeof halves);
        return (Floats)(__builtin_convertvector(halves, Words) << 16);
    }
#ifdef __AVX512F__ /* which GCC does not find by itself */
    return (Floats)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from)));
#else
    Bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, Floats);
#endif
}

#if HAS_PAIRS
INLINE __m512bh load_pairs(const char *from, enum Kind kind) {
    if (kind == BFLOAT16_PAIRS)
        return (__m512bh)_mm512_loadu_si512(from);
    return _mm512_cvtne2ps_pbh((__m512)widen(from + LANES, INT8), (__m512)widen(from, INT8));
}
#endif

INLINE float widen_one(const char *from, enum Kind kind) {
    if (kind == INT8)
        return (float)*(const int8_t *)from;
    uint32_t bits = 0;
    memcpy((char *)&bits + (kind == FLOAT32 ? 0 : 2), from, SIZES[kind]);
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* The nearest bfloat16, ties to even. */
INLINE uint16_t narrow(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

INLINE void store(char *to, enum Kind kind, float number) {
    if (kind == FLOAT32)
        *(float *)to = number;
    else
        *(uint16_t *)to = narrow(number);
}

INLINE float round_to(enum Kind kind, float number) {
    const uint16_t half = narrow(number);
    return kind == FLOAT32 ? number : widen_one((const char *)&half, BFLOAT16);
}

INLINE float sum(Floats lanes) {
#ifdef __AVX512F__
    return _mm512_reduce_add_ps((__m512)lanes);
#else
    float total = 0;
    for (int lane = 0; lane < LANES; lane++)
        total += lanes[lane];
    return total;
#endif
}

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

/* A body per format and number of inputs. */
#define CASE(count, kind) \
    case count: multiply(weights, kind, columns, inputs, halves, count, outputs); break;
#define MULTIPLY(name, kind) \
    static void multiply_##name(const char *weights, long columns, const float *const *inputs, \
                                const uint16_t *const *halves, int count, float (*outputs)[BLOCK]) { \
        switch (count) { \
            CASE(1, kind) CASE(2, kind) CASE(3, kind) CASE(4, kind) CASE(5, kind) CASE(6, kind) CASE(7, kind) \
            CASE(8, kind) \
        } \
    }
MULTIPLY(float32, FLOAT32)
MULTIPLY(bfloat16, BFLOAT16)
MULTIPLY(int8, INT8)
MULTIPLY(bfloat16_pairs, BFLOAT16_PAIRS)
MULTIPLY(int8_pairs, INT8_PAIRS)
static void (*const BODIES[])(const char *, long, const float *const *, const uint16_t *const *, int,
                              float (*)[BLOCK]) = {
    multiply_float32, multiply_bfloat16, multiply_int8, multiply_bfloat16_pairs, multiply_int8_pairs};

/* How many blocks of rows there are. */
INLINE long count_blocks(long rows) {
    return (rows + BLOCK - 1) / BLOCK;
}

/* sums[i] = up to BLOCK rows of matrix `which`, from `first` on, times row order[i] / pairs_per_row of `rows`. Returns
 * how many rows. */
static int multiply_block(const struct Matrix *matrix, long which, long first, struct Rows rows, const long *order,
                          long pairs_per_row, long count, float (*sums)[BLOCK]) {
    const int height = first + BLOCK <= matrix->outputs ? BLOCK : (int)(matrix->outputs - first);
    const enum Kind kind = matrix->kind + (rows.halves && matrix->kind != FLOAT32 ? TO_PAIRS : 0);
    const char *weights = matrix->weights + (which * matrix->stride + first * matrix->inputs) * SIZES[kind];
    const float *scales = matrix->scales ? matrix->scales + which * matrix->outputs + first : 0;
    if (scales) {
        __builtin_prefetch(scales);
        __builtin_prefetch(scales + 8 * BLOCK);
    }
    for (long done = 0; done < count; done += MOST) {
        const int some = count - done < MOST ? (int)(count - done) : MOST;
        const float *inputs[MOST];
        const uint16_t *halves[MOST];
        for (int i = 0; i < some; i++) {
            const long place = order[done + i] / pairs_per_row * rows.width;
            inputs[i] = rows.wide + place;
            halves[i] = rows.halves ? rows.halves + place : 0;
        }
        for (int row = 0; row < height; row++)
            BODIES[kind](weights + row * matrix->inputs * SIZES[kind], matrix->inputs, inputs, halves, some,
                         (float(*)[BLOCK])(sums[done] + row));
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
