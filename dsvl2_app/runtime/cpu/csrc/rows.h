/* What is small and many times done between the products of a prompt: norms, and the rotation of queries and keys. All
 * in bfloat16, computed in float32 and rounded once; one pass over memory instead of one for each operation of torch. */
#pragma once
#include "queries.h"
#include "vectors.h"

INLINE Floats widen_halves(const uint16_t *from) {
    return widen((const char *)from, BFLOAT16);
}

INLINE void store_halves(uint16_t *to, Floats numbers) {
    const Halves halves = narrow_lanes(numbers);
    memcpy(to, &halves, sizeof halves);
}

/* rows [count, width, a multiple of LANES] less their mean, if there is a `bias` to be added, and divided by the root
 * of their mean square, times weight -> out. */
void normalise_rows(const uint16_t *rows, const uint16_t *weight, const uint16_t *bias, long count, long width,
                    float eps, uint16_t *out, int threads) {
#pragma omp parallel for num_threads(threads)
    for (long row = 0; row < count; row++) {
        const uint16_t *from = rows + row * width;
        Floats totals = {}, squares = {};
        for (long at = 0; bias && at < width; at += LANES)
            totals += widen_halves(from + at);
        const float mean = sum(totals) / width;
        for (long at = 0; at < width; at += LANES) {
            const Floats apart = widen_halves(from + at) - mean;
            squares += apart * apart;
        }
        const float factor = 1 / sqrtf(sum(squares) / width + eps);
        for (long at = 0; at < width; at += LANES) {
            Floats found = (widen_halves(from + at) - mean) * factor * widen_halves(weight + at);
            if (bias)
                found += widen_halves(bias + at);
            store_halves(out + row * width + at, found);
        }
    }
}

/* Each [width] of heads, by the angles of its token: number i against i + width / 2, or, of `neighbours`, 2 * i against
 * 2 * i + 1; cosines and sines [batch, tokens, width / 2], a multiple of LANES -> out [batch, heads, tokens, width], all
 * first members before all second ones. */
void rotate_heads(const struct Heads *heads, const float *cosines, const float *sines, long batches, long count,
                  long tokens, int neighbours, uint16_t *out, int threads) {
    const long half = heads->width / 2;
#pragma omp parallel for num_threads(threads)
    for (long row = 0; row < batches * count * tokens; row++) {
        const long batch = row / (count * tokens), token = row % tokens;
        const uint16_t *from = find(heads, batch, row / tokens % count, token);
        const float *cosine = cosines + (batch * tokens + token) * half, *sine = sines + (batch * tokens + token) * half;
        for (long at = 0; at < half; at += LANES) {
            Floats first, second;
            if (neighbours) {
                Words pairs;
                memcpy(&pairs, from + 2 * at, sizeof pairs);
                first = (Floats)(pairs << 16);
                second = (Floats)(pairs & 0xffff0000);
            } else {
                first = widen_halves(from + at);
                second = widen_halves(from + half + at);
            }
            store_halves(out + row * heads->width + at, first * load(cosine + at) - second * load(sine + at));
            store_halves(out + row * heads->width + half + at, second * load(cosine + at) + first * load(sine + at));
        }
    }
}
