/* Attention of many queries, of a tile's patches to one another or of a prompt to what precedes, a head at a time. */
#pragma once
#include "attention.h"
#include <stdlib.h>
#include "panels.h"

/* bfloat16 [batch, heads, tokens, width]; numbers between the beginnings of two, the last ones side by side. */
struct Heads {
    const uint16_t *numbers;
    long batch, head, token, width;
};

static const uint16_t *find(const struct Heads *heads, long batch, long head, long token) {
    return heads->numbers + batch * heads->batch + head * heads->head + token * heads->token;
}

/* Scores of the first `seen` tokens -> weights of them, up to a common factor; 0 up to `end`. Returns their sum. */
static float weigh(float *scores, long seen, long end, float scale, uint16_t *weights) {
    for (long at = seen; at < count_padded(seen); at++)
        scores[at] = -INFINITY;
    Floats peaks = load(scores), totals = {};
    for (long at = LANES; at < seen; at += LANES)
        peaks = larger_lanes(peaks, load(scores + at));
    const float factor = scale * 1.44269504f, most = largest(peaks) * factor;
    for (long at = 0; at < seen; at += LANES) {
        const Floats each = power(load(scores + at) * factor - most);
        const Halves halves = narrow_lanes(each);
        totals += each;
        memcpy(weights + at, &halves, sizeof halves);
    }
    for (long at = count_padded(seen); at < end; at++)
        weights[at] = 0;
    return sum(totals);
}

#if HAS_PANELS
#define QUERIES (2 * TALL) /* at once, for which the panels of a head are read */

/* What a thread holds of a head: panels of all `total` tokens, and scores and weights of QUERIES. */
struct Head {
    Pair *keys, *values;
    float *scores;
    uint16_t *weights;
    long total, scores_stride; /* in a row of scores and weights */
};

static void lay_keys(const struct Heads *keys, long batch, long group, long total, Pair *panels) {
    const long pairs = keys->width / 2;
    for (long at = 0; at < total; at += WIDEST) {
        const char *rows[WIDEST];
        const long count = total - at < WIDEST ? total - at : WIDEST;
        for (long i = 0; i < count; i++)
            rows[i] = (const char *)find(keys, batch, group, at + i);
        lay_rows(rows, count, pairs, MOST_VECTORS, panels + at * pairs);
    }
}

/* Values meet weights over tokens, so a pair is two tokens of the same column. */
static void lay_values(const struct Heads *values, long batch, long group, long total, Pair *panels) {
    const long pairs = (total + 1) / 2;
    for (long column = 0, vectors; column < values->width; column += vectors * LANES) {
        vectors = panel_vectors(values->width - column);
        for (long pair = 0; pair < pairs; pair++) {
            const uint16_t *first = find(values, batch, group, 2 * pair), *second = first + values->token;
            for (long lane = 0; lane < vectors * LANES; lane++) {
                const long from = column + lane;
                const Pair low = from < values->width ? first[from] : 0;
                const Pair high = from < values->width && 2 * pair + 1 < total ? second[from] : 0;
                *panels++ = low | high << 16;
            }
        }
    }
}

/* `count` queries from `first` on, which see the tokens up to `past` and, if `causal`, up to themselves. */
static void attend_block(const struct Heads *queries, const struct Heads *values, const struct Head *own, long batch,
                         long head, long first, long count, long past, int causal, float scale, uint16_t *out,
                         long apart) {
    const long pairs = queries->width / 2, end = causal ? past + first + count : past, half = (end + 1) / 2;
    const struct Ahead near = {{(const char *)own->keys, (const char *)own->keys}, 0}; /* all is in caches */
    Sums sums;
    float totals[QUERIES];
    for (long at = 0; at < end; at += WIDEST)
        for (long group = 0; group < count; group += TALL) {
            const char *rows[TALL];
            for (long row = 0; row < TALL; row++)
                rows[row] = (const char *)find(queries, batch, head, first + (group + row < count ? group + row : 0));
            multiply_panel(rows, own->keys + at * pairs, pairs, &near, MOST_VECTORS, sums);
            for (long row = 0; row < TALL; row++)
                memcpy(own->scores + (group + row) * own->scores_stride + at, sums[row], sizeof sums[row]);
        }
    for (long row = 0; row < count; row++) {
        const long seen = causal ? past + first + row + 1 : past;
        totals[row] = weigh(own->scores + row * own->scores_stride, seen, 2 * half, scale,
                            own->weights + row * own->scores_stride);
    }
    const Pair *panel = own->values;
    for (long column = 0, vectors; column < values->width; column += vectors * LANES) {
        vectors = panel_vectors(values->width - column);
        const long wide = values->width - column < vectors * LANES ? values->width - column : vectors * LANES;
        for (long group = 0; group < count; group += TALL) {
            const char *rows[TALL];
            for (long row = 0; row < TALL; row++)
                rows[row] = (const char *)(own->weights + (group + row < count ? group + row : 0) * own->scores_stride);
            multiply_panel(rows, panel, half, &near, vectors, sums);
            for (long row = 0; row < TALL && group + row < count; row++)
                for (long i = 0; i < wide; i++)
                    out[(first + group + row) * apart + column + i] = narrow(sums[row][i] / totals[group + row]);
        }
        panel += (own->total + 1) / 2 * vectors * LANES;
    }
}

static void attend_head(const struct Heads *queries, const struct Heads *keys, const struct Heads *values,
                        struct Head *own, long batch, long head, long group, long new, int causal, float scale,
                        uint16_t *out, long apart) {
    lay_keys(keys, batch, group, own->total, own->keys);
    lay_values(values, batch, group, own->total, own->values);
    for (long first = 0; first < new; first += QUERIES) {
        const long count = new - first < QUERIES ? new - first : QUERIES;
        attend_block(queries, values, own, batch, head, first, count, causal ? own->total - new : own->total, causal,
                     scale, out, apart);
    }
}

/* Softmax attention of `new` queries to `total` tokens, all or, if `causal`, those up to itself, the last query being
 * the last token -> out [batch, new, heads, value]. */
void attend_queries(const struct Heads *queries, const struct Heads *keys, const struct Heads *values, long batches,
                    long heads, long groups, long new, long total, int causal, float scale, uint16_t *out,
                    int threads) {
    const long scores_stride = (total + WIDEST - 1) / WIDEST * WIDEST, width = count_padded(values->width);
#pragma omp parallel num_threads(threads)
    {
        struct Head own = {.total = total, .scores_stride = scores_stride};
        own.keys = aligned_alloc(LINE, scores_stride * keys->width / 2 * sizeof(Pair));
        own.values = aligned_alloc(LINE, scores_stride / 2 * width * sizeof(Pair));
        own.scores = aligned_alloc(LINE, QUERIES * scores_stride * sizeof(float));
        own.weights = aligned_alloc(LINE, QUERIES * scores_stride * sizeof(uint16_t));
#pragma omp for schedule(dynamic)
        for (long unit = 0; unit < batches * heads; unit++) {
            const long batch = unit / heads, head = unit % heads;
            attend_head(queries, keys, values, &own, batch, head, head / (heads / groups), new, causal, scale,
                        out + (batch * new * heads + head) * values->width, heads * values->width);
        }
        free(own.keys);
        free(own.values);
        free(own.scores);
        free(own.weights);
    }
}
#endif
