/* int4 weights, which are multiplied as they are read (model/int4.py says how they lie).
 *
 * Byte i of UNIT inputs holds input i in its low half and input GROUP + i in its high half, each plus 8; a table turns
 * halves into numbers. Each GROUP inputs have a scale, of which a code of eight bits is kept. It meets the sum of the
 * group's products, in float32. Where a processor sums products of bytes, activations are whole numbers of 15 bits per
 * group, in two bytes each, which is closer to them than bfloat16 is.
 */
#pragma once
#include "numbers.h"

#define GROUP 32 /* inputs that share a scale */
#define UNIT 64  /* inputs that are packed together */
#define TOGETHER_SCALES 16 /* that are decoded at once */

INLINE long count_groups(long inputs) {
    return (inputs + GROUP - 1) / GROUP;
}

/* The scale of a code: five bits of exponent and three of fraction, where a float32 has its own. */
INLINE float decode_scale(uint8_t code) {
    const uint32_t bits = (code + (103u << 3)) << 20;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* Up to TOGETHER_SCALES of `left` scales; behind these the smallest there is. */
INLINE Floats decode_scales(const uint8_t *codes, long left) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    const __mmask16 there = left < TOGETHER_SCALES ? (1u << left) - 1 : 0xffff;
    const __m512i wide = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(there, codes));
    return (Floats)_mm512_slli_epi32(_mm512_add_epi32(wide, _mm512_set1_epi32(103 << 3)), 20);
#else
    Floats scales = {};
    for (int i = 0; i < TOGETHER_SCALES && i < left; i++)
        scales[i] = decode_scale(codes[i]);
    return scales;
#endif
}

/* Number `input` of a row of `columns`. */
INLINE float unpack_one(const char *weights, const uint8_t *codes, long columns, long input) {
    const long unit = input / UNIT * UNIT, left = columns - unit, half = left < UNIT ? left / 2 : GROUP;
    const uint8_t byte = weights[unit / 2 + (input - unit) % half];
    return ((input - unit < half ? byte & 15 : byte >> 4) - 8) * decode_scale(codes[input / GROUP]);
}

/* LANES bytes -> their halves as numbers. */
INLINE void split_bytes(const char *from, Floats *low, Floats *high) {
#ifdef __AVX512F__ /* the table is looked at with the low four bits alone */
    const __m512 table = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
    *low = (Floats)_mm512_permutexvar_ps(bytes, table);
    *high = (Floats)_mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
#else
    Marks bytes;
    memcpy(&bytes, from, sizeof bytes);
    *low = __builtin_convertvector((Bytes)(bytes & 15) - 8, Floats);
    *high = __builtin_convertvector((Bytes)(bytes >> 4) - 8, Floats);
#endif
}

#ifdef __AVX512VNNI__
#define HAS_SPLIT 1
#else
#define HAS_SPLIT 0
#endif
#define HALFWAY 8192 /* of an activation's 15 bits with its sign: seven of the low byte, eight of the high one */

/* Activations as whole numbers with a scale for each GROUP, a power of two, in two bytes: `high` * 128 + `low`. A bfloat16
 * is exact that way unless it is below a 64th of the largest of its group. `offsets` are what the 8
 * that every weight holds too much adds up to, per scale of a weight; there are `groups` places for each row. */
struct Split {
    int8_t *high, *low;
    float *scales, *offsets;
    long groups;
};

INLINE long split_groups(long width) {
    return (count_groups(width) + TOGETHER_SCALES - 1) / TOGETHER_SCALES * TOGETHER_SCALES;
}

INLINE long split_bytes_of(long rows, long width) {
    return rows * (2 * width + 2 * split_groups(width) * (long)sizeof(float)) + 2 * LINE;
}

#if HAS_SPLIT
INLINE Ints to_whole(const float *from, float factor) {
    return (Ints)_mm512_cvtps_epi32((__m512)(load(from) * factor));
}

/* What each UNIT of some rows is in bytes; what is left of a row stays wide. `memory` has room for `split_bytes_of`. */
static void split_rows(struct Rows *rows, long count, struct Split *split, char *memory) {
    const long width = rows->width, groups = split_groups(width), units = width / UNIT;
    float *scales = (float *)(((uintptr_t)memory + LINE - 1) / LINE * LINE);
    *split = (struct Split){(int8_t *)(scales + 2 * count * groups), (int8_t *)(scales + 2 * count * groups) + count * width,
                            scales, scales + count * groups, groups};
    memset(scales, 0, 2 * count * groups * sizeof(float));
    for (long row = 0; row < count; row++)
        for (long group = 0; group < units * UNIT / GROUP; group++) {
            const long place = row * width + group * GROUP;
            const float *from = rows->wide + place;
            const float peak = _mm512_reduce_max_ps(
                _mm512_max_ps(_mm512_abs_ps((__m512)load(from)), _mm512_abs_ps((__m512)load(from + LANES))));
            uint32_t bits;
            memcpy(&bits, &peak, sizeof bits);
            bits &= 0x7f800000; /* the power of two that is not above the peak */
            float power;
            memcpy(&power, &bits, sizeof power);
            const float factor = peak > 0x1p-100f ? HALFWAY / power : 0, scale = power / HALFWAY;
            const Ints whole[2] = {to_whole(from, factor), to_whole(from + LANES, factor)};
            for (int half = 0; half < 2; half++) {
                const __m128i high = _mm512_cvtepi32_epi8((__m512i)(whole[half] >> 7));
                _mm_storeu_si128((__m128i *)(split->high + place + half * LANES), high);
                const __m128i low = _mm512_cvtepi32_epi8((__m512i)(whole[half] & 127));
                _mm_storeu_si128((__m128i *)(split->low + place + half * LANES), low);
            }
            split->scales[row * groups + group] = scale;
            split->offsets[row * groups + group] =
                scale * -8 * _mm512_reduce_add_epi32((__m512i)(whole[0] + whole[1]));
        }
    rows->split = split;
}

/* One row of weights times `count` rows in bytes, of which `rows` are the numbers. Products of bytes are summed as whole
 * numbers, four by four, and these by group. */
INLINE long multiply_bytes(const char *weights, const uint8_t *codes, long columns, const struct Split *split,
                           const long *rows, int count, float *outputs) {
    const __m512i shifts = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi32(4), 1);
    const __m512i mask = _mm512_set1_epi8(15), zero = _mm512_setzero_si512();
    const __m512i first = _mm512_inserti64x4(zero, _mm256_set1_epi32(1), 1);
    const long units = columns / UNIT, groups = count_groups(columns);
    Floats sums[MOST] = {}, offsets[MOST] = {};
    for (long unit = 0; unit < units; unit += TOGETHER_SCALES / 2) {
        const long group = unit * 2, end = unit + TOGETHER_SCALES / 2 < units ? unit + TOGETHER_SCALES / 2 : units;
        const Floats scales = decode_scales(codes + group, groups - group);
        __m512i which = first; /* of the scales each lane meets */
        Floats factors[MOST];
#pragma GCC unroll 8
        for (int i = 0; i < count; i++) {
            const long place = rows[i] * split->groups + group;
            factors[i] = scales * load(split->scales + place);
            offsets[i] += scales * load(split->offsets + place);
        }
        for (long at = unit; at < end; at++) {
            const char *from = weights + at * UNIT / 2;
            const __m512i twice = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)from));
            const __m512i numbers = _mm512_and_si512(_mm512_srlv_epi32(twice, shifts), mask);
            __builtin_prefetch(from + AHEAD);
#pragma GCC unroll 8
            for (int i = 0; i < count; i++) {
                const long place = rows[i] * columns + at * UNIT;
                const __m512i high = _mm512_dpbusd_epi32(zero, numbers, _mm512_loadu_si512(split->high + place));
                const __m512i both = _mm512_dpbusd_epi32(_mm512_slli_epi32(high, 7), numbers,
                                                         _mm512_loadu_si512(split->low + place));
                sums[i] += (Floats)_mm512_cvtepi32_ps(both) *
                           (Floats)_mm512_permutexvar_ps(which, (__m512)factors[i]);
            }
            which = _mm512_add_epi32(which, _mm512_set1_epi32(2));
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < count; i++)
        outputs[i] = sum(sums[i] + offsets[i]);
    return units * UNIT;
}
#else
static void split_rows(struct Rows *rows, long count, struct Split *split, char *memory) {}

INLINE long multiply_bytes(const char *weights, const uint8_t *codes, long columns, const struct Split *split,
                           const long *rows, int count, float *outputs) {
    return 0;
}
#endif

/* The same with float32 activations. */
INLINE long multiply_nibbles(const char *weights, const uint8_t *codes, long columns, const float *const *inputs,
                             int count, float *outputs) {
    const long groups = count_groups(columns);
    Floats sums[MOST][2] = {}, scales = {};
    long column = 0;
    for (; column + UNIT <= columns; column += UNIT) {
        const char *from = weights + column / 2;
        const long group = column / GROUP, known = group % TOGETHER_SCALES;
        if (!known)
            scales = decode_scales(codes + group, groups - group);
        __builtin_prefetch(from + AHEAD);
        Floats low[2], high[2];
        split_bytes(from, low, high);
        split_bytes(from + LANES, low + 1, high + 1);
#pragma GCC unroll 8
        for (int i = 0; i < count; i++) {
            const float *input = inputs[i] + column;
            sums[i][0] += (low[0] * load(input) + low[1] * load(input + LANES)) * scales[known];
            sums[i][1] += (high[0] * load(input + GROUP) + high[1] * load(input + GROUP + LANES)) * scales[known + 1];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < count; i++)
        outputs[i] = sum(sums[i][0] + sums[i][1]);
    return column;
}

/* One row of weights times `count` rows of activations, a constant where this is inlined. */
INLINE void multiply_int4(const char *weights, const uint8_t *codes, enum Kind kind, long columns,
                          const float *const *inputs, const struct Split *split, const long *rows, int count,
                          float (*outputs)[BLOCK]) {
    float found[MOST];
    const long done = kind == INT4_BYTES ? multiply_bytes(weights, codes, columns, split, rows, count, found)
                                         : multiply_nibbles(weights, codes, columns, inputs, count, found);
    for (int i = 0; i < count; i++) {
        for (long rest = done; rest < columns; rest++)
            found[i] += unpack_one(weights, codes, columns, rest) * inputs[i][rest];
        *outputs[i] = found[i];
    }
}

#if HAS_PAIRS
INLINE __m512i repeat_table(__m512 numbers) {
    return _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(numbers));
}
#endif

/* One row as bfloat16, which holds such weights exactly. */
static void unpack_row(const char *weights, const uint8_t *codes, long columns, uint16_t *to) {
    long column = 0;
#if HAS_PAIRS
    const __m512 numbers = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    for (; column + UNIT <= columns; column += UNIT) {
        const __m512i words = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(weights + column / 2)));
        for (long half = 0; half < 2; half++) {
            const float scale = decode_scale(codes[column / GROUP + half]);
            const __m512i table = repeat_table(numbers * scale), index = half ? _mm512_srli_epi16(words, 4) : words;
            _mm512_storeu_si512(to + column + half * GROUP, _mm512_permutexvar_epi16(index, table));
        }
        __builtin_prefetch(weights + column / 2 + AHEAD);
    }
#endif
    for (; column < columns; column++)
        to[column] = narrow(unpack_one(weights, codes, columns, column));
}

/* Row `row` of matrix `which`. */
INLINE void unpack_row_of(const struct Matrix *matrix, long which, long row, uint16_t *to) {
    const uint8_t *codes = (const uint8_t *)matrix->scales;
    unpack_row(matrix->weights + (which * matrix->stride + row * matrix->inputs) / 2,
               codes + (which * matrix->outputs + row) * count_groups(matrix->inputs), matrix->inputs, to);
}
