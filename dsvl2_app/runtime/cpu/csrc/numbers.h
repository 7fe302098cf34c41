/* Formats of numbers, vectors of them, and matrices and activations that hold them. */
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
#define LINE 64    /* bytes of a cache line */
#define AHEAD 8192 /* bytes that are fetched before they are needed */
#define BLOCK 4 /* rows of a matrix, the least that a thread takes */
#define MOST 8 /* inputs */
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef int8_t Bytes __attribute__((vector_size(LANES)));
typedef uint8_t Marks __attribute__((vector_size(LANES)));

/* Of numbers in memory. With bfloat16 activations bfloat16 and int8 weights are multiplied in PAIRS where the processor
 * has an instruction for that; both fit into a bfloat16 as they are. int4 weights (nibbles.h) meet BYTES then. */
enum Kind { FLOAT32, BFLOAT16, INT8, INT4, BFLOAT16_PAIRS, INT8_PAIRS, INT4_BYTES };
enum { TO_PAIRS = BFLOAT16_PAIRS - BFLOAT16 };
static const int SIZES[] = {4, 2, 1, 0, 2, 1, 0}; /* not of int4, of which two are a byte */

/* Matrices [outputs, inputs] with `stride` numbers between the beginnings of two. Scales are float32, one per output, of
 * int8, and codes, some per output, of int4. */
struct Matrix {
    const char *weights;
    const void *scales;
    long stride, outputs, inputs, kind;
};

#define INLINE static inline __attribute__((always_inline))

/* What the sums of output `row` of matrix `which` are multiplied with. */
INLINE float weight_scale(const struct Matrix *matrix, long which, long row) {
    return matrix->kind == INT8 ? ((const float *)matrix->scales)[which * matrix->outputs + row] : 1;
}

/* Activations [rows, width], the same as bfloat16 where they may be multiplied in pairs, and in bytes where int4 weights
 * meet these. */
struct Rows {
    float *wide;
    uint16_t *halves;
    long width;
    const struct Split *split;
};

/* Of so many numbers. */
INLINE long bytes_of(enum Kind kind, long numbers) {
    return kind == INT4 || kind == INT4_BYTES ? numbers / 2 : numbers * SIZES[kind];
}

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
