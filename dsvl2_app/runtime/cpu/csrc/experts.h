/* Feed-forward of a step: the choice of experts, and those of all rows that share one together. */
#pragma once
#include <float.h>
#include "step.h"

/* K experts per row and their weights, from the router's logits. The bias steers the choice, never a weight. */
static void choose_experts(const struct Step *step, struct Scratch *scratch) {
    const struct Decoder *decoder = step->decoder;
    const long count = scratch->layer->router.outputs, active = decoder->active;
    for (long row = 0; row < step->batch; row++) {
        const float *logits = step->logits + row * count;
        float scores[count], ranking[count], most = -FLT_MAX, total = 0, chosen = 0;
        for (long i = 0; i < count; i++)
            most = logits[i] > most ? logits[i] : most;
        for (long i = 0; i < count; i++)
            total += scores[i] = decoder->sigmoid ? 1 / (1 + expf(-logits[i])) : expf(logits[i] - most);
        for (long i = 0; i < count; i++) {
            scores[i] /= decoder->sigmoid ? 1 : total;
            ranking[i] = scores[i] + (scratch->layer->bias ? scratch->layer->bias[i] : 0);
        }
        for (long k = 0; k < active; k++) {
            long best = 0;
            for (long i = 1; i < count; i++)
                best = ranking[i] > ranking[best] ? i : best;
            ranking[best] = -INFINITY;
            scratch->experts[row * active + k] = best;
            chosen += scratch->weights[row * active + k] = scores[best];
        }
        for (long k = 0; k < active; k++)
            scratch->weights[row * active + k] *= decoder->scaling / (decoder->normalise ? chosen + 1e-20f : 1);
    }
    sort_pairs(scratch->experts, step->batch * active, count, scratch->starts, scratch->order);
}

/* SwiGLU of up to BLOCK numbers inside expert `which`, for the pairs or rows in `order`. */
static void enter(const struct Step *step, struct Scratch *scratch, const struct Matrix *gate_up, long which,
                  long first, const long *order, long pairs_per_row, long count, struct Rows inner) {
    const long left = inner.width - first, height = left < BLOCK ? left : BLOCK;
    multiply_block(gate_up, which, first, scratch->rows, order, pairs_per_row, count, scratch->sums);
    multiply_block(gate_up, which, inner.width + first, scratch->rows, order, pairs_per_row, count, scratch->more);
    for (long i = 0; i < count; i++)
        for (long row = 0; row < height; row++) {
            const float gate = scratch->sums[i][row];
            put(inner, step->decoder->kind, order[i] * inner.width + first + row,
                gate / (1 + expf(-gate)) * scratch->more[i][row]);
        }
}

/* The weighted outputs of one expert, a piece of the residual stream. */
static void leave(struct Step *step, struct Scratch *scratch, const struct Matrix *down, long which, struct Piece piece,
                  const long *order, long pairs_per_row, long count, const float *weights, struct Rows inner) {
    const long width = step->decoder->width;
    for (long block = piece.first; block < piece.end; block++) {
        const int height = multiply_block(down, which, block * BLOCK, inner, order, 1, count, scratch->sums);
        for (long i = 0; i < count; i++) {
            float *to = step->hidden + order[i] / pairs_per_row * width + block * BLOCK;
            for (int row = 0; row < height; row++)
                to[row] += scratch->sums[i][row] * (weights ? weights[order[i]] : 1);
        }
    }
}

/* A dense layer is one shared expert and none to choose from. */
static void feed_forward(struct Step *step, struct Scratch *scratch) {
    const struct Layer *layer = scratch->layer;
    const long batch = step->batch, active = step->decoder->active, count = layer->router.outputs;
    struct Rows inner = step->inner, shared = step->shared;
    inner.width = layer->down.inputs;
    shared.width = layer->shared_down.inputs;
    split_for(count ? &layer->gate_up : &layer->shared_gate_up, step, scratch, 0, &scratch->rows, batch);
    const long scored = count_blocks(count), blocks = count_blocks(shared.width);
    for (struct Piece piece = {}; take(&step->team, scratch->thread, scored + blocks, 4, &piece);)
        for (long block = piece.first; block < piece.end; block++) {
            if (block >= scored) {
                enter(step, scratch, &layer->shared_gate_up, 0, (block - scored) * BLOCK, scratch->all, 1, batch,
                      shared);
                continue;
            }
            const int height = multiply_block(&layer->router, 0, block * BLOCK, scratch->rows, scratch->all, 1, batch,
                                              scratch->sums);
            for (long row = 0; row < batch; row++)
                memcpy(step->logits + row * count + block * BLOCK, scratch->sums[row], height * sizeof(float));
        }
    barrier(&step->team);
    long used = 0;
    if (count) {
        choose_experts(step, scratch);
        for (long expert = 0; expert < count; expert++)
            if (scratch->starts[expert] < scratch->starts[expert + 1])
                scratch->used[used++] = expert;
        const long each = count_blocks(inner.width);
        for (struct Piece piece = {}; take(&step->team, scratch->thread, used * each, 4, &piece);)
            for (long block = piece.first; block < piece.end; block++) {
                const long expert = scratch->used[block / each], start = scratch->starts[expert];
                enter(step, scratch, &layer->gate_up, expert, block % each * BLOCK, scratch->order + start, active,
                      scratch->starts[expert + 1] - start, inner);
            }
        barrier(&step->team);
    }
    split_for(&layer->down, step, scratch, 0, &inner, batch * active);
    split_for(&layer->shared_down, step, scratch, 1, &shared, batch);
    const struct Matrix *widest = layer->shared_down.weights ? &layer->shared_down : &layer->down;
    for (struct Piece piece = {};
         take(&step->team, scratch->thread, count_blocks(step->decoder->width), piece_size(widest), &piece);) {
        for (long i = 0; i < used; i++) {
            const long expert = scratch->used[i], start = scratch->starts[expert];
            leave(step, scratch, &layer->down, expert, piece, scratch->order + start, active,
                  scratch->starts[expert + 1] - start, scratch->weights, inner);
        }
        if (shared.width)
            leave(step, scratch, &layer->shared_down, 0, piece, scratch->all, 1, batch, NULL, shared);
    }
    barrier(&step->team);
}
