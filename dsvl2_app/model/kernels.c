/* A few rows of activations against matrices that are read once, at the speed at which memory delivers them.
 *
 * P rows of activations, E matrices of F rows and D columns, `experts[p]` the matrix that row p meets. Rows that meet
 * the same matrix are served together: a block of its rows is widened to float32 in registers and multiplied with up
 * to MOST rows of activations before the next block is touched. Sums are float32. See kernels.py for the callers.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 16
#define BLOCK 4 /* rows of a matrix */
#define MOST 6  /* inputs: with the rows, 24 sums in 32 registers */
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));
/* Of weights. Rows of activations are float32, but bfloat16 where weights are multiplied in PAIRS, which processors
 * with an instruction for that do without widening anything. */
enum Kind { FLOAT32, BFLOAT16, INT8, PAIRS };
static const int SIZES[] = {4, 2, 1, 2}, ROW_SIZES[] = {4, 4, 4, 2};

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

INLINE float widen_one(const char *from, enum Kind kind) {
    if (kind == INT8)
        return (float)*(const int8_t *)from;
    uint32_t bits = 0;
    memcpy((char *)&bits + (kind == FLOAT32 ? 0 : 2), from, SIZES[kind]);
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
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

/* `rows` rows of weights against `count` rows of activations; both are constants where this is inlined. */
INLINE void multiply(const char *weights, enum Kind kind, long columns, int rows, const char *const *inputs,
                     int count, float *const *outputs, const float *scales) {
    Floats sums[BLOCK][MOST] = {};
    const int lanes_at_once = kind == PAIRS ? 2 * LANES : LANES;
    const long size = SIZES[kind], row_size = ROW_SIZES[kind], whole = columns - columns % lanes_at_once;
#ifdef __AVX512BF16__
    for (long column = 0; kind == PAIRS && column < whole; column += 2 * LANES) {
        __m512bh wide[BLOCK];
#pragma GCC unroll 4
        for (int row = 0; row < rows; row++) {
            const char *from = weights + (row * columns + column) * size;
            wide[row] = (__m512bh)_mm512_loadu_si512(from);
            __builtin_prefetch(from + BLOCK * columns * size);
        }
#pragma GCC unroll 6
        for (int input = 0; input < count; input++) {
            const __m512bh lanes = (__m512bh)_mm512_loadu_si512(inputs[input] + column * row_size);
#pragma GCC unroll 4
            for (int row = 0; row < rows; row++)
                sums[row][input] = (Floats)_mm512_dpbf16_ps((__m512)sums[row][input], wide[row], lanes);
        }
    }
#endif
    for (long column = 0; kind != PAIRS && column < whole; column += LANES) {
        Floats wide[BLOCK];
#pragma GCC unroll 4
        for (int row = 0; row < rows; row++) {
            const char *from = weights + (row * columns + column) * size;
            wide[row] = widen(from, kind);
            __builtin_prefetch(from + BLOCK * columns * size); /* the next block; twice as fast with it */
        }
#pragma GCC unroll 6
        for (int input = 0; input < count; input++) {
            const Floats lanes = load((const float *)inputs[input] + column);
#pragma GCC unroll 4
            for (int row = 0; row < rows; row++)
                sums[row][input] += wide[row] * lanes;
        }
    }
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 6
        for (int input = 0; input < count; input++) {
            float total = sum(sums[row][input]);
            for (long column = whole; column < columns; column++)
                total += widen_one(weights + (row * columns + column) * size, kind) *
                         widen_one(inputs[input] + column * row_size, kind == PAIRS ? BFLOAT16 : FLOAT32);
            outputs[input][row] = scales ? total * scales[row] : total;
        }
}

/* A body per number of inputs, and few enough sums that they stay in registers. */
INLINE void multiply_block(const char *weights, enum Kind kind, long columns, const char *const *inputs, int count,
                           float *const *outputs, const float *scales) {
#define CASE(rows, count) \
    case count: multiply(weights, kind, columns, rows, inputs, count, outputs, scales); break;
    switch (count) {
        CASE(4, 1) CASE(4, 2) CASE(4, 3) CASE(4, 4) CASE(4, 5) CASE(4, 6)
    }
}

INLINE void multiply_one(const char *weights, enum Kind kind, long columns, const char *const *inputs, int count,
                         float *const *outputs, const float *scales) {
    switch (count) {
        CASE(1, 1) CASE(1, 2) CASE(1, 3) CASE(1, 4) CASE(1, 5) CASE(1, 6)
    }
}

/* outputs[p] = weights[experts[p]] x inputs[p / share], [P, F]. Without `experts` every row meets matrix 0. `stride`
 * numbers lie between the beginnings of two matrices. */
INLINE void linear(const char *weights, enum Kind kind, const float *scales, long matrices, long stride, long rows,
                   long columns,
                   const char *inputs, const int64_t *experts, long pairs, long share, float *outputs, int threads) {
    long *starts = calloc(matrices + 1, sizeof *starts), *order = malloc(pairs * sizeof *order);
    for (long pair = 0; pair < pairs; pair++)
        starts[(experts ? experts[pair] : 0) + 1]++;
    for (long matrix = 0; matrix < matrices; matrix++)
        starts[matrix + 1] += starts[matrix];
    for (long pair = 0, filled[matrices]; pair < pairs; pair++) {
        if (!pair)
            memset(filled, 0, sizeof filled);
        const long matrix = experts ? experts[pair] : 0;
        order[starts[matrix] + filled[matrix]++] = pair;
    }
    const long blocks = (rows + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long block = 0; block < matrices * blocks; block++) {
        const long matrix = block / blocks, row = block % blocks * BLOCK;
        const char *from = weights + (matrix * stride + row * columns) * SIZES[kind];
        const float *scale = scales ? scales + matrix * rows + row : NULL;
        for (long first = starts[matrix]; first < starts[matrix + 1]; first += MOST) {
            const long left = starts[matrix + 1] - first;
            const int count = left < MOST ? left : MOST;
            const char *in[MOST];
            float *out[MOST];
            for (int i = 0; i < count; i++) {
                in[i] = inputs + order[first + i] / share * columns * ROW_SIZES[kind];
                out[i] = outputs + order[first + i] * rows + row;
            }
            if (row + BLOCK <= rows)
                multiply_block(from, kind, columns, in, count, out, scale);
            else
                for (long rest = 0; rest < rows - row; rest++) {
                    multiply_one(from + rest * columns * SIZES[kind], kind, columns, in, count, out,
                                 scale ? scale + rest : NULL);
                    for (int i = 0; i < count; i++)
                        out[i]++;
                }
        }
    }
    free(starts);
    free(order);
}

/* e^x for x <= 0, to seven digits: 2^n times a polynomial of the rest, |rest| <= ln(2) / 2. */
INLINE Floats exponential(Floats x) {
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = x[lane] > -87 ? x[lane] : -87;
    const Ints n = __builtin_convertvector(x * 1.44269504f - 0.5f, Ints);
    const Floats whole = __builtin_convertvector(n, Floats);
    const Floats rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    Floats sum = rest * 1.3888889e-3f + 8.3333333e-3f;
    sum = sum * rest + 4.1666667e-2f;
    sum = sum * rest + 1.6666667e-1f;
    sum = sum * rest + 0.5f;
    sum = sum * rest + 1.0f;
    return (sum * rest + 1.0f) * (Floats)((n + 127) << 23);
}

/* scores[at] += query x keys[at], four keys at a time. */
INLINE void add_scores(const float *query, const char *keys, enum Kind kind, long length, long width, float *scores) {
    const char *const input = (const char *)query;
    long at = 0;
    for (; at + BLOCK <= length; at += BLOCK) {
        float each[BLOCK], *const output = each;
        multiply(keys + at * width * SIZES[kind], kind, width, BLOCK, &input, 1, &output, NULL);
        for (int key = 0; key < BLOCK; key++)
            scores[at + key] += each[key];
    }
    for (; at < length; at++) {
        float one, *const output = &one;
        multiply(keys + at * width * SIZES[kind], kind, width, 1, &input, 1, &output, NULL);
        scores[at] += one;
    }
}

/* out = sum of shares[at] x values[at], for `lanes` columns of LANES at a time, a constant where this is inlined. */
INLINE void add_values(const float *shares, const char *values, enum Kind kind, long length, long width, int lanes,
                       float *out) {
    Floats sums[8] = {};
    for (long at = 0; at < length; at++)
#pragma GCC unroll 8
        for (int lane = 0; lane < lanes; lane++)
            sums[lane] += shares[at] * widen(values + (at * width + lane * LANES) * SIZES[kind], kind);
    memcpy(out, sums, lanes * sizeof *sums);
}

/* One token's softmax attention: query [H, width] and its rope part [H, rope_width] over `length` keys and values of
 * its group. Distances between groups are in numbers. */
INLINE void attend(const float *query, const float *query_rope, enum Kind kind, long heads, long groups,
                   const char *keys, long key_stride, long width, const char *ropes, long rope_stride, long rope_width,
                   const char *values, long value_stride, long value_width, long length, float scale, float *context,
                   int threads) {
    const long size = SIZES[kind];
#pragma omp parallel for schedule(static) num_threads(threads)
    for (long head = 0; head < heads; head++) {
        const long group = head * groups / heads;
        const char *from = values + group * value_stride * size;
        const long padded = (length + LANES - 1) / LANES * LANES;
        float *scores = calloc(padded, sizeof *scores), *out = context + head * value_width;
        float most = -FLT_MAX;
        Floats totals = {};
        add_scores(query + head * width, keys + group * key_stride * size, kind, length, width, scores);
        if (rope_width)
            add_scores(query_rope + head * rope_width, ropes + group * rope_stride * size, kind, length, rope_width,
                       scores);
        for (long at = 0; at < length; at++)
            most = scores[at] > most ? scores[at] : most;
        for (long at = length; at < padded; at++)
            scores[at] = -FLT_MAX;
        for (long at = 0; at < padded; at += LANES) {
            const Floats shares = exponential((load(scores + at) - most) * scale);
            memcpy(scores + at, &shares, sizeof shares);
            totals += shares;
        }
        const float total = sum(totals);
        for (long at = 0; at < length; at++)
            scores[at] /= total;
        long column = 0;
        for (; column + 8 * LANES <= value_width; column += 8 * LANES)
            add_values(scores, from + column * size, kind, length, value_width, 8, out + column);
        for (; column + LANES <= value_width; column += LANES)
            add_values(scores, from + column * size, kind, length, value_width, 1, out + column);
        for (; column < value_width; column++) {
            out[column] = 0;
            for (long at = 0; at < length; at++)
                out[column] += scores[at] * widen_one(from + (at * value_width + column) * size, kind);
        }
        free(scores);
    }
}

#define EXPORT_LINEAR(name, kind) \
    void linear_##name(const void *weights, const float *scales, long matrices, long stride, long rows, long columns, \
                       const void *inputs, const int64_t *experts, long pairs, long share, float *outputs, \
                       int threads) { \
        linear(weights, kind, scales, matrices, stride, rows, columns, inputs, experts, pairs, share, outputs, threads); \
    }
#define EXPORT_ATTEND(name, kind) \
    void attend_##name(const float *query, const float *query_rope, long heads, long groups, const void *keys, \
                       long key_stride, long width, const void *ropes, long rope_stride, long rope_width, \
                       const void *values, long value_stride, long value_width, long length, float scale, \
                       float *context, int threads) { \
        attend(query, query_rope, kind, heads, groups, keys, key_stride, width, ropes, rope_stride, rope_width, \
               values, value_stride, value_width, length, scale, context, threads); \
    }
EXPORT_LINEAR(float32, FLOAT32)
EXPORT_LINEAR(bfloat16, BFLOAT16)
EXPORT_LINEAR(int8, INT8)
#ifdef __AVX512BF16__
EXPORT_LINEAR(pairs, PAIRS)
#endif
EXPORT_ATTEND(float32, FLOAT32)
EXPORT_ATTEND(bfloat16, BFLOAT16)
