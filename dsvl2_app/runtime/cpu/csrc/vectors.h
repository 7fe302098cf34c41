/* What vectors of LANES numbers need beside sums and products: powers, bfloat16, and a transpose. */
#pragma once
#include "matrices.h"

typedef uint32_t Pair; /* two bfloat16, the first one low */

/* The next multiple of LANES. */
INLINE long count_padded(long columns) {
    return (columns + LANES - 1) / LANES * LANES;
}

INLINE Floats absolute(Floats x) {
    return (Floats)((Words)x & 0x7fffffff);
}

INLINE Floats larger_lanes(Floats one, Floats other) {
#ifdef __AVX512F__
    return (Floats)_mm512_max_ps((__m512)one, (__m512)other);
#else
    const Ints first = one > other;
    return (Floats)(((Ints)one & first) | ((Ints)other & ~first));
#endif
}

INLINE float largest(Floats lanes) {
#ifdef __AVX512F__
    return _mm512_reduce_max_ps((__m512)lanes);
#else
    float most = lanes[0];
    for (int lane = 1; lane < LANES; lane++)
        most = lanes[lane] > most ? lanes[lane] : most;
    return most;
#endif
}

/* The nearest whole numbers, of up to 2^22: added to 2^23 * 1.5 they are what the last bits say. */
INLINE Ints round_lanes(Floats x) {
    return (Ints)(x + 0x1.8p23f) - 0x4b400000;
}

/* 2^x to five digits, more than a share in bfloat16 has. */
INLINE Floats power(Floats x) {
#ifdef __AVX512F__
    const Floats rest = (Floats)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = x[lane] < -126 ? -126 : x[lane] > 126 ? 126 : x[lane];
    const Ints whole = round_lanes(x - 0.5f);
    const Floats rest = x - __builtin_convertvector(whole, Floats);
#endif
    Floats sum = rest * 1.353416e-2f + 5.201147e-2f;
    sum = sum * rest + 2.4144275e-1f;
    sum = sum * rest + 6.9300384e-1f;
    sum = sum * rest + 1.00000259f;
#ifdef __AVX512F__
    return (Floats)_mm512_scalef_ps((__m512)sum, (__m512)x); /* which takes the whole part of x */
#else
    return sum * (Floats)((whole + 127) << 23);
#endif
}

/* 1 / (1 + e^-x) to four digits. */
INLINE Floats sigmoid(Floats x) {
    const Floats whole = 1 + power(x * -1.44269504f);
#ifdef __AVX512F__
    return (Floats)_mm512_rcp14_ps((__m512)whole); /* a tenth of the time of a division */
#else
    return 1 / whole;
#endif
}

/* x * sigmoid(x) */
INLINE Floats silu(Floats x) {
    return x * sigmoid(x);
}

/* Its form with tanh: tanh(y) = 2 * sigmoid(2 * y) - 1. */
INLINE Floats gelu(Floats x) {
    return x * sigmoid(1.5957691f * (x + 0.044715f * x * x * x));
}

/* The nearest bfloat16 of each. */
INLINE Halves narrow_lanes(Floats x) {
#if HAS_PAIRS
    return (Halves)_mm512_cvtneps_pbh((__m512)x);
#else
    const Words bits = (Words)x;
    return __builtin_convertvector((bits + 0x7fff + (bits >> 16 & 1)) >> 16, Halves);
#endif
}

INLINE Words interleave(Halves low, Halves high) {
    return __builtin_convertvector(low, Words) | __builtin_convertvector(high, Words) << 16;
}

/* Two vectors as bfloat16, lane by lane. */
INLINE Words pair_up(Floats first, Floats second) {
#if HAS_PAIRS
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (Words)_mm512_permutexvar_epi16((__m512i)(lane | (lane + LANES) << 16), both);
#else
    return interleave(narrow_lanes(first), narrow_lanes(second));
#endif
}

/* LANES lines of LANES numbers. */
INLINE void transpose(Words *lines) {
#ifdef __AVX512F__
    const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#pragma GCC unroll 4
    for (int apart = 1; apart < LANES; apart *= 2) { /* squares of this side change places */
        const Ints low = lane + (((lane & apart) != 0) & (LANES - apart)), high = low + apart;
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            if (!(i & apart)) {
                const __m512i first = (__m512i)lines[i], second = (__m512i)lines[i + apart];
                lines[i] = (Words)_mm512_permutex2var_epi32(first, (__m512i)low, second);
                lines[i + apart] = (Words)_mm512_permutex2var_epi32(first, (__m512i)high, second);
            }
    }
#else
    for (int i = 0; i < LANES; i++)
        for (int lane = 0; lane < i; lane++) {
            const uint32_t number = lines[i][lane];
            lines[i][lane] = lines[lane][i];
            lines[lane][i] = number;
        }
#endif
}
