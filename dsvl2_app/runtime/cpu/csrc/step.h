/* One token of each of B conversations through the layers of a decoder, all inside one parallel region: what the
 * stages share. The stages themselves are in attention.h and experts.h.
 *
 * What belongs together is one stage, as in the Triton kernels for GPUs: a norm with the projections behind it,
 * rotation and cache with attention, the choice of experts with their products, every sum with the residual stream.
 * What is small, every thread does for itself: norms, and the choice of experts. Sums are float32; what a matrix is
 * multiplied with is rounded to the model's format first, as it is in the layers' scratch forward.
 */
#pragma once
#include <math.h>
#include "matrices.h"
#include "team.h"

#define PAIRS_FROM 3 /* rows of activations; for fewer, memory is the limit either way */
#define PIECE_BYTES (1 << 16) /* of weights, between two looks at who needs help */

struct Decoder {
    long kind, layers, width, heads, groups, rank; /* rank 0: multi-head attention, otherwise latent */
    long nope, rope, value, active, sigmoid, normalise;
    const char *norm; /* norms have the model's format */
    const float *frequencies;
    float eps, scale, scaling; /* of norms, of scores in attention, of experts' weights */
};

/* Without latents `query_down` to `expand` hold nothing, in a dense layer `router`, `gate_up` and `down`. */
struct Layer {
    const char *attention_norm, *mlp_norm, *query_norm, *latent_norm;
    const float *bias;
    struct Matrix query, key, value, out, query_down, latent, expand;
    struct Matrix router, gate_up, down, shared_gate_up, shared_down;
};

struct Step {
    const struct Decoder *decoder;
    const struct Layer *layers;
    long batch, stride, scores_stride; /* numbers in a row of `projected`; tokens of the longest cache */
    const int64_t *positions, *capacities;
    float *cos, *sin;         /* [B, rope / 2] */
    float *hidden;            /* [B, D], the residual stream */
    float *projected;         /* [B, stride] */
    float *queries;           /* [B, H * (nope + rope)], where they are projected twice */
    float *logits;            /* [B, E] */
    struct Rows context;      /* [B, H * value] */
    struct Rows inner, shared;
    struct Rows moved, turned, found; /* [B * H]: queries in latent space, their rope parts, contexts there */
    struct Team team;
};

/* Of one thread. */
struct Scratch {
    int thread;
    const struct Layer *layer;
    struct Rows rows, queries;
    float *scores, *found; /* [MOST, scores_stride], [MOST, value or rank] */
    float *weights;        /* [B, K] */
    int64_t *experts;
    long *used, *starts, *order, *all; /* `all` counts from 0 */
    float (*sums)[BLOCK], (*more)[BLOCK];
    struct Split splits[2]; /* of rows in use, for int4 weights */
    char *bytes[2];
};

static void put(struct Rows rows, enum Kind kind, long place, float number) {
    rows.wide[place] = round_to(kind, number);
    if (rows.halves)
        rows.halves[place] = narrow(number);
}

/* -- memory ------------------------------------------------------------------------------------------------------ */

INLINE long larger(long one, long other) {
    return one > other ? one : other;
}

INLINE void *cut(uintptr_t *from, long bytes) {
    const uintptr_t begin = *from;
    *from += (bytes + LINE - 1) / LINE * LINE;
    return (void *)begin;
}

static struct Rows cut_rows(uintptr_t *from, long rows, long width, int halves) {
    float *wide = cut(from, rows * width * sizeof(float));
    return (struct Rows){wide, halves ? cut(from, rows * width * sizeof(uint16_t)) : NULL, width, NULL};
}

/* Everything of the step, and of each of its threads, in `memory`; returns how much that is. */
static long lay_out(struct Step *step, struct Scratch *scratches, int threads, char *memory) {
    const struct Decoder *decoder = step->decoder;
    const long batch = step->batch, heads = decoder->heads, rank = decoder->rank, rope = decoder->rope;
    const int narrow = HAS_PAIRS && decoder->kind == BFLOAT16, pairs = narrow && batch >= PAIRS_FROM;
    long queries = 0, experts = 0, inner = 0, shared = 0, widest = decoder->width, length = 0;
    for (const struct Layer *layer = step->layers; layer < step->layers + decoder->layers; layer++) {
        const long first = larger(layer->query_down.outputs, layer->query.outputs);
        step->stride = larger(step->stride, first + layer->key.outputs + layer->value.outputs + layer->latent.outputs);
        queries = larger(queries, layer->query.outputs);
        experts = larger(experts, layer->router.outputs);
        inner = larger(inner, layer->down.inputs);
        shared = larger(shared, layer->shared_down.inputs);
        widest = larger(widest, layer->query_down.outputs);
    }
    for (long row = 0; row < batch; row++)
        length = larger(length, step->positions[row] + 1);
    step->scores_stride = (length + LANES) / LANES * LANES;
    uintptr_t at = (uintptr_t)memory;
    step->cos = cut(&at, batch * rope * sizeof(float));
    step->sin = cut(&at, batch * rope * sizeof(float));
    step->hidden = cut(&at, batch * decoder->width * sizeof(float));
    step->projected = cut(&at, batch * step->stride * sizeof(float));
    step->queries = cut(&at, batch * queries * sizeof(float));
    step->logits = cut(&at, batch * experts * sizeof(float));
    step->context = cut_rows(&at, batch, heads * decoder->value, pairs);
    step->inner = cut_rows(&at, batch * decoder->active, inner, pairs);
    step->shared = cut_rows(&at, batch, shared, pairs);
    step->moved = cut_rows(&at, batch * heads, rank, narrow);
    step->turned = cut_rows(&at, batch * heads, rope, narrow);
    step->found = cut_rows(&at, batch * heads, rank, pairs);
    for (struct Scratch *scratch = scratches; scratch < scratches + threads; scratch++) {
        const long chosen = batch * decoder->active;
        scratch->rows = cut_rows(&at, batch, widest, pairs);
        scratch->queries = cut_rows(&at, heads, rope, 0);
        scratch->scores = cut(&at, MOST * step->scores_stride * sizeof(float));
        scratch->found = cut(&at, MOST * larger(rank, decoder->value) * sizeof(float));
        scratch->weights = cut(&at, chosen * sizeof(float));
        scratch->experts = cut(&at, chosen * sizeof(int64_t));
        scratch->used = cut(&at, experts * sizeof(long));
        scratch->starts = cut(&at, (experts + 1) * sizeof(long));
        scratch->order = cut(&at, larger(chosen, batch) * sizeof(long));
        scratch->all = cut(&at, batch * sizeof(long));
        scratch->sums = cut(&at, larger(chosen, larger(batch, MOST)) * BLOCK * sizeof(float));
        scratch->more = cut(&at, larger(chosen, larger(batch, MOST)) * BLOCK * sizeof(float));
        const long most = larger(split_bytes_of(batch, larger(widest, heads * decoder->value)),
                                 split_bytes_of(chosen, inner));
        scratch->bytes[0] = cut(&at, most);
        scratch->bytes[1] = cut(&at, split_bytes_of(batch, shared));
    }
    return at - (uintptr_t)memory;
}

/* -- norm and projections --------------------------------------------------------------------------------------- */

/* What to multiply numbers with, before the norm's weights. */
static float find_norm(const float *numbers, long width, float eps) {
    float squares = 0;
    for (long i = 0; i < width; i++)
        squares += numbers[i] * numbers[i];
    return 1 / sqrtf(squares / width + eps);
}

static void normalise(const struct Step *step, const float *numbers, long stride, const char *norm, long width,
                      struct Rows *rows) {
    const enum Kind kind = step->decoder->kind;
    rows->width = width;
    for (long row = 0; row < step->batch; row++) {
        const float *from = numbers + row * stride, factor = find_norm(from, width, step->decoder->eps);
        for (long i = 0; i < width; i++)
            put(*rows, kind, row * width + i, from[i] * factor * widen_one(norm + i * SIZES[kind], kind));
    }
}

/* Some rows also in bytes, if they meet int4 weights and a processor that takes these. */
INLINE void split_for(const struct Matrix *matrix, const struct Step *step, struct Scratch *scratch, int which,
                      struct Rows *rows, long count) {
    rows->split = NULL;
    if (HAS_SPLIT && matrix->kind == INT4 && step->decoder->kind == BFLOAT16)
        split_rows(rows, count, scratch->splits + which, scratch->bytes[which]);
}

INLINE long piece_size(const struct Matrix *matrix) {
    return 1 + PIECE_BYTES / (BLOCK * bytes_of(matrix->kind, matrix->inputs));
}

/* out [B, stride] = rows through up to three matrices, their outputs in a row, or that much more. */
static void project(struct Step *step, struct Scratch *scratch, struct Rows rows, const struct Matrix *const *matrices,
                    int count, float *out, long stride, int add) {
    long blocks = 0;
    split_for(matrices[0], step, scratch, 0, &rows, step->batch);
    for (int i = 0; i < count; i++)
        blocks += count_blocks(matrices[i]->outputs);
    for (struct Piece piece = {}; take(&step->team, scratch->thread, blocks, piece_size(matrices[0]), &piece);)
        for (long block = piece.first; block < piece.end; block++) {
            const struct Matrix *const *matrix = matrices;
            long rest = block, column = 0;
            for (; rest >= count_blocks((*matrix)->outputs); matrix++) {
                rest -= count_blocks((*matrix)->outputs);
                column += (*matrix)->outputs;
            }
            column += rest * BLOCK;
            const int height = multiply_block(*matrix, 0, rest * BLOCK, rows, scratch->all, 1, step->batch,
                                              scratch->sums);
            for (long row = 0; row < step->batch; row++)
                for (int i = 0; i < height; i++) {
                    float *target = out + row * stride + column + i;
                    *target = scratch->sums[row][i] + (add ? *target : 0);
                }
        }
    barrier(&step->team);
}
