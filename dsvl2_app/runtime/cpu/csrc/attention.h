/* Attention of a step, multi-head and latent: a few queries over the same keys and values, which are read once for all
 * of them. */
#pragma once
#include <float.h>
#include "step.h"

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

/* scores[i][at] += query i x key `at`; queries are rows from `first` on, a row of scores is `scores_stride` long. */
static void add_scores(const struct Matrix *keys, struct Rows queries, long first, int count, float *scores,
                       long scores_stride) {
    long order[MOST];
    for (int i = 0; i < count; i++)
        order[i] = first + i;
    for (long at = 0; at < keys->outputs; at += BLOCK) {
        float sums[MOST][BLOCK];
        const int height = multiply_block(keys, 0, at, queries, order, 1, count, sums);
        for (int i = 0; i < count; i++)
            for (int key = 0; key < height; key++)
                scores[i * scores_stride + at + key] += sums[i][key];
    }
}

/* Scores of `length` keys -> weights that sum to 1. */
static void share_out(float *scores, long length, float scale) {
    const long padded = (length + LANES - 1) / LANES * LANES;
    float most = -FLT_MAX;
    Floats totals = {};
    for (long at = 0; at < length; at++)
        most = scores[at] > most ? scores[at] : most;
    for (long at = length; at < padded; at++)
        scores[at] = -FLT_MAX;
    for (long at = 0; at < padded; at += LANES) {
        const Floats weights = exponential((load(scores + at) - most) * scale);
        memcpy(scores + at, &weights, sizeof weights);
        totals += weights;
    }
    const float total = sum(totals);
    for (long at = 0; at < length; at++)
        scores[at] /= total;
}

/* `lanes` times LANES columns; constants where this is inlined. */
INLINE void add_columns(const float *const *weights, int count, const char *values, enum Kind kind, long length,
                        long width, int lanes, float *const *out) {
    Floats sums[MOST][8] = {};
    for (long at = 0; at < length; at++)
#pragma GCC unroll 8
        for (int lane = 0; lane < lanes; lane++) {
            const Floats wide = widen(values + (at * width + lane * LANES) * SIZES[kind], kind);
#pragma GCC unroll 6
            for (int i = 0; i < count; i++)
                sums[i][lane] += weights[i][at] * wide;
        }
#pragma GCC unroll 6
    for (int i = 0; i < count; i++)
        memcpy(out[i], sums[i], lanes * sizeof(Floats));
}

/* out[i] = sum of weights[i][at] x values[at], values [length, width]. */
INLINE void add_values(const float *const *weights, int count, const char *values, enum Kind kind, long length,
                       long width, float *const *out) {
    for (int done = 0, some; done < count; done += some) {
        some = count - done >= 4 ? 4 : 1; /* 8 or 16 sums, in registers */
        float *to[4];
        long column = 0;
        while (column < width) {
            const char *from = values + column * SIZES[kind];
            for (int i = 0; i < some; i++)
                to[i] = out[done + i] + column;
            const int lanes = column + 8 * LANES <= width ? (some == 1 ? 8 : 4) : column + LANES <= width;
            switch (8 * some + lanes) {
                case 8 + 8: add_columns(weights + done, 1, from, kind, length, width, 8, to); break;
                case 8 + 1: add_columns(weights + done, 1, from, kind, length, width, 1, to); break;
                case 32 + 4: add_columns(weights + done, 4, from, kind, length, width, 4, to); break;
                case 32 + 1: add_columns(weights + done, 4, from, kind, length, width, 1, to); break;
                default:
                    for (int i = 0; i < some; i++) {
                        float total = 0;
                        for (long at = 0; at < length; at++)
                            total += weights[done + i][at] * widen_one(from + at * width * SIZES[kind], kind);
                        *to[i] = total;
                    }
            }
            column += lanes ? lanes * LANES : 1;
        }
    }
}

/* out[i] = sum of weights[i][at] x row `at` of `values`. */
static void sum_values(const float *const *weights, int count, const struct Matrix *values, float *const *out) {
    if (values->kind == FLOAT32)
        add_values(weights, count, values->weights, FLOAT32, values->outputs, values->inputs, out);
    else
        add_values(weights, count, values->weights, BFLOAT16, values->outputs, values->inputs, out);
}

/* Number i of a rotated vector, whose halves lie `apart`, and the members of a half `each`. */
INLINE float rotate(const struct Step *step, long row, const float *from, long i, long apart, long each) {
    const long half = step->decoder->rope / 2, at = i % half;
    const float cos = step->cos[row * half + at], sin = step->sin[row * half + at];
    const float first = from[at * each], second = from[at * each + apart];
    return i < half ? first * cos - second * sin : second * cos + first * sin;
}

/* scratch->found [count, width] = attention of queries `first` and following. */
static void attend(const struct Step *step, struct Scratch *scratch, const struct Matrix *keys, struct Rows queries,
                   const struct Matrix *ropes, struct Rows turned, long first, int count,
                   const struct Matrix *values) {
    const float *weights[MOST];
    float *out[MOST];
    memset(scratch->scores, 0, count * step->scores_stride * sizeof(float));
    add_scores(keys, queries, first, count, scratch->scores, step->scores_stride);
    if (ropes)
        add_scores(ropes, turned, first, count, scratch->scores, step->scores_stride);
    for (int i = 0; i < count; i++) {
        weights[i] = scratch->scores + i * step->scores_stride;
        out[i] = scratch->found + i * values->inputs;
        share_out(scratch->scores + i * step->scores_stride, keys->outputs, step->decoder->scale);
    }
    sum_values(weights, count, values, out);
}

/* A cache's tokens of one group as a matrix, the new one included. */
INLINE struct Matrix see(const struct Step *step, char *const *buffers, long row, long group, long width) {
    const long kind = step->decoder->kind;
    const char *from = buffers[row] + group * step->capacities[row] * width * SIZES[kind];
    return (struct Matrix){from, 0, 0, step->positions[row] + 1, width, kind};
}

/* Where the new token goes. */
INLINE char *last_of(const struct Matrix *tokens) {
    return (char *)tokens->weights + (tokens->outputs - 1) * tokens->inputs * SIZES[tokens->kind];
}

static void attend_heads(struct Step *step, struct Scratch *scratch, char *const *buffers) {
    const struct Decoder *decoder = step->decoder;
    const struct Layer *layer = scratch->layer;
    const enum Kind kind = decoder->kind;
    const long width = decoder->rope, groups = decoder->groups, heads = decoder->heads / groups;
    project(step, scratch, scratch->rows, (const struct Matrix *[]){&layer->query, &layer->key, &layer->value}, 3,
            step->projected, step->stride, 0);
    for (struct Piece piece = {}; take(&step->team, scratch->thread, step->batch * groups, 1, &piece);) {
        const long row = piece.first / groups, group = piece.first % groups;
        const struct Matrix keys = see(step, buffers, row, group, width);
        const struct Matrix values = see(step, buffers + step->batch, row, group, width);
        const float *query = step->projected + row * step->stride + group * heads * width;
        const float *key = step->projected + row * step->stride + layer->query.outputs + group * width;
        const float *value = key + layer->key.outputs;
        for (long i = 0; i < width; i++) {
            store(last_of(&keys) + i * SIZES[kind], kind, rotate(step, row, key, i, width / 2, 1));
            store(last_of(&values) + i * SIZES[kind], kind, value[i]);
        }
        for (long i = 0; i < heads * width; i++)
            put(scratch->queries, kind, i, rotate(step, row, query + i / width * width, i % width, width / 2, 1));
        for (long head = 0; head < heads; head += MOST) {
            const int count = heads - head < MOST ? (int)(heads - head) : MOST;
            attend(step, scratch, &keys, scratch->queries, NULL, scratch->queries, head, count, &values);
            for (long i = 0; i < count * width; i++)
                put(step->context, kind, row * step->context.width + (group * heads + head) * width + i,
                    scratch->found[i]);
        }
    }
    barrier(&step->team);
}

/* A head's queries move into latent space, where every token is one latent for all heads. */
static void absorb(struct Step *step, struct Scratch *scratch, long head, const float *queries, long stride) {
    const struct Decoder *decoder = step->decoder;
    const long nope = decoder->nope, rope = decoder->rope, rank = decoder->rank;
    const struct Matrix *expand = &scratch->layer->expand;
    const struct Matrix keys = {expand->weights + head * (nope + decoder->value) * rank * SIZES[expand->kind], 0, 0,
                                nope, rank, expand->kind};
    for (long row = 0; row < step->batch; row++) {
        const float *query = queries + row * stride + head * (nope + rope);
        const long place = row * decoder->heads + head;
        float narrowed[nope];
        for (long i = 0; i < nope; i++)
            narrowed[i] = round_to(decoder->kind, query[i]);
        sum_values((const float *[]){narrowed}, 1, &keys, (float *[]){scratch->found});
        for (long i = 0; i < rank; i++)
            put(step->moved, decoder->kind, place * rank + i, scratch->found[i]);
        for (long i = 0; i < rope; i++)
            put(step->turned, decoder->kind, place * rope + i, rotate(step, row, query + nope, i, 1, 2));
    }
}

/* The new token's normalised latent and rotated rope key. */
static void append_latent(const struct Step *step, const struct Scratch *scratch, long row, const float *latent,
                          char *const *buffers) {
    const struct Decoder *decoder = step->decoder;
    const enum Kind kind = decoder->kind;
    const struct Matrix latents = see(step, buffers, row, 0, decoder->rank);
    const struct Matrix ropes = see(step, buffers + step->batch, row, 0, decoder->rope);
    const float factor = find_norm(latent, decoder->rank, decoder->eps);
    for (long i = 0; i < decoder->rank; i++)
        store(last_of(&latents) + i * SIZES[kind], kind,
              latent[i] * factor * widen_one(scratch->layer->latent_norm + i * SIZES[kind], kind));
    for (long i = 0; i < decoder->rope; i++)
        store(last_of(&ropes) + i * SIZES[kind], kind, rotate(step, row, latent + decoder->rank, i, 1, 2));
}

static void attend_latents(struct Step *step, struct Scratch *scratch, char *const *buffers) {
    const struct Decoder *decoder = step->decoder;
    const struct Layer *layer = scratch->layer;
    const long heads = decoder->heads, rank = decoder->rank, batch = step->batch;
    const struct Matrix *query = layer->query_down.weights ? &layer->query_down : &layer->query;
    const float *queries = step->projected;
    long stride = step->stride;
    project(step, scratch, scratch->rows, (const struct Matrix *[]){query, &layer->latent}, 2, step->projected, stride,
            0);
    if (query == &layer->query_down) {
        normalise(step, step->projected, stride, layer->query_norm, query->outputs, &scratch->rows);
        queries = step->queries;
        stride = layer->query.outputs;
        project(step, scratch, scratch->rows, (const struct Matrix *[]){&layer->query}, 1, step->queries, stride, 0);
    }
    for (struct Piece piece = {}; take(&step->team, scratch->thread, heads + batch, 1, &piece);)
        if (piece.first < heads)
            absorb(step, scratch, piece.first, queries, stride);
        else {
            const long row = piece.first - heads;
            append_latent(step, scratch, row, step->projected + row * step->stride + query->outputs, buffers);
        }
    barrier(&step->team);
    const long together = 4, parts = (heads + together - 1) / together;
    for (struct Piece piece = {}; take(&step->team, scratch->thread, batch * parts, 1, &piece);) {
        const long row = piece.first / parts, head = piece.first % parts * together;
        const int count = heads - head < together ? (int)(heads - head) : (int)together;
        const struct Matrix latents = see(step, buffers, row, 0, rank);
        const struct Matrix ropes = see(step, buffers + batch, row, 0, decoder->rope);
        attend(step, scratch, &latents, step->moved, &ropes, step->turned, row * heads + head, count, &latents);
        for (long i = 0; i < count * rank; i++)
            put(step->found, decoder->kind, (row * heads + head) * rank + i, scratch->found[i]);
    }
    barrier(&step->team);
    const long blocks = count_blocks(decoder->value);
    for (struct Piece piece = {}; take(&step->team, scratch->thread, heads * blocks, blocks, &piece);)
        for (long block = piece.first; block < piece.end; block++) {
            const long head = block / blocks, first = block % blocks * BLOCK;
            const long height = decoder->value - first < BLOCK ? decoder->value - first : BLOCK;
            for (long row = 0; row < batch; row++)
                scratch->order[row] = row * heads + head;
            multiply_block(&layer->expand, 0, head * (decoder->nope + decoder->value) + decoder->nope + first,
                           step->found, scratch->order, 1, batch, scratch->sums);
            for (long row = 0; row < batch; row++)
                for (long i = 0; i < height; i++)
                    put(step->context, decoder->kind, row * step->context.width + head * decoder->value + first + i,
                        scratch->sums[row][i]);
        }
    barrier(&step->team);
}
