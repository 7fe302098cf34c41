/* Feed-forward of a step: the choice of experts, and those of all rows that share one together. */
#pragma once
#include <float.h>
#include "step.h"

/* K experts per row and their weights, from the router's logits. The bias steers the choice, never a weight. */
static void choose_experts(const struct Step *step, struct Own *own) {
    const struct Decoder *decoder = step->decoder;
    const long count = own->layer->router.outputs, active = decoder->active;
    for (long row = 0; row < step->batch; row++) {
        const float *logits = step->logits + row * count;
        float scores[count], ranking[count], most = -FLT_MAX, total = 0, chosen = 0;
        for (long i = 0; i < count; i++)
            most = logits[i] > most ? logits[i] : most;
        for (long i = 0; i < count; i++)
            total += scores[i] = decoder->sigmoid ? 1 / (1 + expf(-logits[i])) : expf(logits[i] - most);
        for (long i = 0; i < count; i++) {
            scores[i] /= decoder->sigmoid ? 1 : total;
            ranking[i] = scores[i] + (own->layer->bias ? own->layer->bias[i] : 0);
        }
        for (long k = 0; k < active; k++) {
            long best = 0;
            for (long i = 1; i < count; i++)
                best = ranking[i] > ranking[best] ? i : best;
            ranking[best] = -INFINITY;
            own->experts[row * active + k] = best;
            chosen += own->weights[row * active + k] = scores[best];
        }
        for (long k = 0; k < active; k++)
            own->weights[row * active + k] *= decoder->scaling / (decoder->normalise ? chosen + 1e-20f : 1);
    }
    sort_pairs(own->experts, step->batch * active, count, own->starts, own->order);
}

/* SwiGLU of up to BLOCK numbers inside expert `which`, for the pairs or rows in `order`. */
static void enter(const struct Step *step, struct Own *own, const struct Matrix *gate_up, long which, long first,
                  const long *order, long share, long count, struct Rows inner) {
    const long left = inner.width - first, height = left < BLOCK ? left : BLOCK;
    multiply_block(gate_up, which, first, own->rows, order, share, count, own->sums);
    multiply_block(gate_up, which, inner.width + first, own->rows, order, share, count, own->more);
    for (long i = 0; i < count; i++)
        for (long row = 0; row < height; row++) {
            const float gate = own->sums[i][row];
            put(inner, step->decoder->kind, order[i] * inner.width + first + row,
                gate / (1 + expf(-gate)) * own->more[i][row]);
        }
}

/* The weighted outputs of one expert, a piece of the residual stream. */
static void leave(struct Step *step, struct Own *own, const struct Matrix *down, long which, struct Piece piece,
                  const long *order, long share, long count, const float *weights, struct Rows inner) {
    const long width = step->decoder->width;
    for (long block = piece.first; block < piece.end; block++) {
        const int height = multiply_block(down, which, block * BLOCK, inner, order, 1, count, own->sums);
        for (long i = 0; i < count; i++) {
            float *to = step->hidden + order[i] / share * width + block * BLOCK;
            for (int row = 0; row < height; row++)
                to[row] += own->sums[i][row] * (weights ? weights[order[i]] : 1);
        }
    }
}

/* A dense layer is one shared expert and none to choose from. */
static void feed_forward(struct Step *step, struct Own *own) {
    const struct Layer *layer = own->layer;
    const long batch = step->batch, active = step->decoder->active, count = layer->router.outputs;
    struct Rows inner = step->inner, shared = step->shared;
    inner.width = layer->down.inputs;
    shared.width = layer->shared_down.inputs;
    const long scored = count_blocks(count), blocks = count_blocks(shared.width);
    for (struct Piece piece = {}; take(&step->team, own->thread, scored + blocks, 4, &piece);)
        for (long block = piece.first; block < piece.end; block++) {
            if (block >= scored) {
                enter(step, own, &layer->shared_gate_up, 0, (block - scored) * BLOCK, own->all, 1, batch, shared);
                continue;
            }
            const int height = multiply_block(&layer->router, 0, block * BLOCK, own->rows, own->all, 1, batch, own->sums);
            for (long row = 0; row < batch; row++)
                memcpy(step->logits + row * count + block * BLOCK, own->sums[row], height * sizeof(float));
        }
    finish_stage(&step->team);
    long used = 0;
    if (count) {
        choose_experts(step, own);
        for (long expert = 0; expert < count; expert++)
            if (own->starts[expert] < own->starts[expert + 1])
                own->used[used++] = expert;
        const long each = count_blocks(inner.width);
        for (struct Piece piece = {}; take(&step->team, own->thread, used * each, 4, &piece);)
            for (long block = piece.first; block < piece.end; block++) {
                const long expert = own->used[block / each], start = own->starts[expert];
                enter(step, own, &layer->gate_up, expert, block % each * BLOCK, own->order + start, active,
                      own->starts[expert + 1] - start, inner);
            }
        finish_stage(&step->team);
    }
    const struct Matrix *widest = layer->shared_down.weights ? &layer->shared_down : &layer->down;
    for (struct Piece piece = {};
         take(&step->team, own->thread, count_blocks(step->decoder->width), piece_size(widest), &piece);) {
        for (long i = 0; i < used; i++) {
            const long expert = own->used[i], start = own->starts[expert];
            leave(step, own, &layer->down, expert, piece, own->order + start, active, own->starts[expert + 1] - start,
                  own->weights, inner);
        }
        if (shared.width)
            leave(step, own, &layer->shared_down, 0, piece, own->all, 1, batch, NULL, shared);
    }
    finish_stage(&step->team);
}
