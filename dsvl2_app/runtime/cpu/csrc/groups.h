/* Experts of a prompt: each multiplies its whole group of tokens while its weights come by once. */
#pragma once
#include "panels.h"
#include <stdlib.h>

/* [T, D] activations, and the K experts and weights of each. */
struct Tokens {
    const uint16_t *hidden;
    const int64_t *experts;
    const float *weights;
    long count, width, active;
};

/* What one thread takes at once: some of the pairs of a token and an expert, all of the same expert. */
struct Group {
    const long *order;
    long expert, count;
};

#if HAS_PANELS
#define MOST_PANELS 6 /* of one expert's tokens at once, so that they stay in a core's cache */

/* What a thread holds for it: panels of tokens and, between the two matrices, of numbers inside the expert, and TALL
 * rows of int8 or int4 weights as bfloat16. */
struct Workspace {
    Pair *tokens, *inner;
    uint16_t *rows;
};

/* TALL rows of an expert's matrix as bfloat16, half of them from `first` and half from `second` on, and in `ahead`
 * those that come after each half. */
INLINE void find_rows(const struct Matrix *matrix, long expert, long first, long second, uint16_t *wide,
                      const char **rows, struct Ahead *ahead) {
    const long bytes = bytes_of(matrix->kind, matrix->inputs), half = TALL / 2;
    const char *weights = matrix->weights + bytes_of(matrix->kind, expert * matrix->stride);
    const long next = second == first + half ? TALL : half;
    *ahead = (struct Ahead){{weights + (first + next) * bytes, weights + (second + next) * bytes}, bytes_of(matrix->kind, 2 * half)};
    for (long row = 0; row < TALL; row++) {
        const long place = row < half ? first + row : second + row - half;
        const char *from = weights + place * bytes;
        uint16_t *to = wide + row * matrix->inputs;
        rows[row] = matrix->kind == BFLOAT16 ? from : (char *)to;
        if (matrix->kind == INT4)
            unpack_row_of(matrix, expert, place, to);
        for (long i = 0; matrix->kind == INT8 && i < matrix->inputs; i += 2 * LANES)
            _mm512_storeu_si512(to + i, (__m512i)load_pairs(from + i, INT8_PAIRS));
    }
}

/* SwiGLU of `group` by gate and up -> panels of numbers inside the expert, TALL / 2 of them at a time. */
static void enter_group(const struct Matrix *gate_up, const struct Group *group, const struct Workspace *workspace) {
    const long pairs = gate_up->inputs / 2, inner = gate_up->outputs / 2;
    for (long first = 0; first < inner; first += TALL / 2) {
        const char *rows[TALL];
        struct Ahead ahead;
        find_rows(gate_up, group->expert, first, inner + first, workspace->rows, rows, &ahead);
        const Pair *tokens = workspace->tokens;
        Pair *to = workspace->inner;
        for (long at = 0, vectors; at < group->count; at += vectors * LANES) {
            Sums sums;
            vectors = panel_vectors(group->count - at);
            multiply_panel(rows, tokens, pairs, &ahead, vectors, sums);
            for (long row = 0; row < TALL / 2; row += 2)
                for (long lane = 0; lane < vectors * LANES; lane += LANES) {
                    Floats made[2];
                    for (long i = 0; i < 2; i++) {
                        const float gate = weight_scale(gate_up, group->expert, first + row + i);
                        const float up = weight_scale(gate_up, group->expert, inner + first + row + i);
                        made[i] = silu(load(sums[row + i] + lane) * gate) *
                                  (load(sums[TALL / 2 + row + i] + lane) * up);
                    }
                    _mm512_storeu_si512(to + (first + row) / 2 * vectors * LANES + lane,
                                        (__m512i)pair_up(made[0], made[1]));
                }
            tokens += pairs * vectors * LANES;
            to += inner / 2 * vectors * LANES;
        }
    }
}

/* TALL numbers of each of LANES tokens, next to each other: a transpose of 4 x 16 pairs. */
INLINE void leave_rows(const Sums sums, long lane, const float *scales, uint16_t *out, const long *order, long count,
                       long width) {
    __m512i pairs[4], halves[4], quarters[4];
    for (int i = 0; i < 4; i++)
        pairs[i] = (__m512i)pair_up(load(sums[2 * i] + lane) * scales[2 * i],
                                    load(sums[2 * i + 1] + lane) * scales[2 * i + 1]);
    for (int i = 0; i < 2; i++) {
        halves[i] = _mm512_unpacklo_epi32(pairs[2 * i], pairs[2 * i + 1]);
        halves[2 + i] = _mm512_unpackhi_epi32(pairs[2 * i], pairs[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        quarters[2 * i] = _mm512_unpacklo_epi64(halves[2 * i], halves[2 * i + 1]);
        quarters[2 * i + 1] = _mm512_unpackhi_epi64(halves[2 * i], halves[2 * i + 1]);
    }
    for (long token = 0; token < LANES && lane + token < count; token++)
        memcpy(out + order[lane + token] * width, (const uint16_t *)&quarters[token % 4] + token / 4 * TALL,
               TALL * sizeof *out);
}

/* Numbers inside the expert -> its outputs [pairs, D]. */
static void leave_group(const struct Matrix *down, const struct Group *group, const struct Workspace *workspace,
                        uint16_t *outputs) {
    const long pairs = down->inputs / 2;
    for (long first = 0; first < down->outputs; first += TALL) {
        const char *rows[TALL];
        struct Ahead ahead;
        float scales[TALL];
        find_rows(down, group->expert, first, first + TALL / 2, workspace->rows, rows, &ahead);
        for (long row = 0; row < TALL; row++)
            scales[row] = weight_scale(down, group->expert, first + row);
        const Pair *inner = workspace->inner;
        for (long at = 0, vectors; at < group->count; at += vectors * LANES) {
            Sums sums;
            vectors = panel_vectors(group->count - at);
            multiply_panel(rows, inner, pairs, &ahead, vectors, sums);
            for (long lane = 0; lane < vectors * LANES; lane += LANES)
                leave_rows(sums, lane, scales, outputs + first, group->order + at, group->count - at, down->outputs);
            inner += pairs * vectors * LANES;
        }
    }
}

static void lay_tokens(const struct Tokens *tokens, const struct Group *group, Pair *panel) {
    for (long at = 0, vectors; at < group->count; at += vectors * LANES) {
        const char *rows[WIDEST];
        vectors = panel_vectors(group->count - at);
        for (long i = 0; i < vectors * LANES && at + i < group->count; i++)
            rows[i] = (const char *)(tokens->hidden + group->order[at + i] / tokens->active * tokens->width);
        lay_rows(rows, group->count - at, tokens->width / 2, vectors, panel);
        panel += tokens->width / 2 * vectors * LANES;
    }
}

/* out [T, D] = the weighted sum of what the K experts of a token make of it. */
void run_experts(const struct Tokens *tokens, const struct Matrix *gate_up, const struct Matrix *down, long experts,
                 uint16_t *out, int threads) {
    const long pairs = tokens->count * tokens->active, most = MOST_PANELS * WIDEST, width = tokens->width;
    long *starts = malloc((experts + 1 + pairs) * sizeof *starts), *order = starts + experts + 1;
    struct Group *groups = malloc((experts + pairs / most) * sizeof *groups);
    uint16_t *outputs = malloc(pairs * width * sizeof *outputs);
    long count = 0;
    sort_pairs(tokens->experts, pairs, experts, starts, order);
    for (long expert = 0; expert < experts; expert++)
        for (long at = starts[expert]; at < starts[expert + 1]; at += most) {
            const long left = starts[expert + 1] - at;
            groups[count++] = (struct Group){order + at, expert, left < most ? left : most};
        }
#pragma omp parallel num_threads(threads)
    {
        struct Workspace workspace = {
            .tokens = aligned_alloc(LINE, most * width / 2 * sizeof(Pair)),
            .inner = aligned_alloc(LINE, most * down->inputs / 2 * sizeof(Pair)),
            .rows = aligned_alloc(LINE, count_padded(TALL * (width > down->inputs ? width : down->inputs)) * 2),
        };
#pragma omp for schedule(dynamic)
        for (long i = 0; i < count; i++) {
            lay_tokens(tokens, groups + i, workspace.tokens);
            enter_group(gate_up, groups + i, &workspace);
            leave_group(down, groups + i, &workspace, outputs);
        }
        free(workspace.tokens);
        free(workspace.inner);
        free(workspace.rows);
#pragma omp for
        for (long token = 0; token < tokens->count; token++)
            for (long at = 0; at < width; at += LANES) {
                Floats total = {};
                for (long pair = token * tokens->active; pair < (token + 1) * tokens->active; pair++)
                    total += widen((const char *)(outputs + pair * width + at), BFLOAT16) * tokens->weights[pair];
                _mm256_storeu_si256((__m256i *)(out + token * width + at),
                                    (__m256i)_mm512_cvtneps_pbh((__m512)total));
            }
    }
    free(starts);
    free(groups);
    free(outputs);
}
#endif
