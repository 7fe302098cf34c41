/* Experts of a prompt on a matrix unit: each multiplies its whole group of tokens while its weights come by once. */
#pragma once
#include "groups.h"
#include "tile_products.h"

#if HAS_TILES
#define MOST_TOGETHER 256 /* tokens of one expert at once, so that they stay in a core's cache */

/* What a thread holds for a group: its tokens, what is between the two matrices, that as rows while it is no int8 yet,
 * and scratch for weights and tokens. */
struct Bench {
    struct Right tokens, inner;
    uint16_t *wide;
    char *scratch;
};

/* SwiGLU of 16 numbers inside the expert, gate and up below each other in `sums`, as pairs for LANES tokens. */
INLINE void swiglu_lanes(Square sums, long lane, enum Kind kind, const float *factors, Floats columns, Words *pairs) {
#pragma GCC unroll 8
    for (long pair = 0; pair < TILE_ROWS / 2; pair++) {
        Floats made[2];
        for (long i = 0; i < 2; i++) {
            const long row = 2 * pair + i;
            Floats gate = sums_of(sums, row, lane, kind), up = sums_of(sums, TILE_ROWS + row, lane, kind);
            if (kind == INT8) {
                gate = gate * columns * factors[row];
                up = up * columns * factors[TILE_ROWS + row];
            }
            made[i] = silu(gate) * up;
        }
        pairs[pair] = pair_up(made[0], made[1]);
    }
}

/* What is inside the expert, 16 numbers from `first` on of 16 tokens, goes into a panel, of which it is half a tile, or,
 * where int8 comes next, into rows. */
INLINE void put_inside(struct Bench *bench, long panel, long tile, long wide, long first, long inner, Words *pairs) {
    if (!bench->wide) {
        char *to = panel_of(&bench->inner, panel) + (first / SQUARE * wide + tile) * TILE_BYTES;
        memcpy(to + first % SQUARE / 2 * STEP, pairs, TILE_BYTES / 2);
        return;
    }
    transpose(pairs);
    for (long i = 0; i < LANES; i++)
        memcpy(bench->wide + (panel * SQUARE + tile * TILE_ROWS + i) * inner + first, &pairs[i], STEP / 2);
}

/* Gate and up of a group, 16 numbers of each at a time. */
static void enter_tiles(const struct Matrix *gate_up, long expert, struct Bench *bench) {
    const long inner = gate_up->outputs / 2, panels = count_panels(bench->tokens.count);
    for (long first = 0; first < inner; first += TILE_ROWS) {
        struct Left left = find_left(gate_up, expert, first, inner + first, bench->scratch);
        float factors[SQUARE];
        for (long row = 0; row < TILE_ROWS; row++) {
            factors[row] = weight_scale(gate_up, expert, first + row);
            factors[TILE_ROWS + row] = weight_scale(gate_up, expert, inner + first + row);
        }
        look_ahead(&left, TILE_ROWS * left.stride);
        for (long panel = 0; panel < panels; panel++) {
            Square sums __attribute__((aligned(LINE)));
            const long wide = columns_of(&bench->tokens, panel) > TILE_ROWS ? 2 : 1;
            multiply_ahead(&left, &bench->tokens, panel, 0, panels, sums, NULL);
            for (long tile = 0; tile < wide; tile++) {
                Words pairs[LANES] = {};
                const float *scales = bench->tokens.scales + panel * SQUARE + tile * LANES;
                if (tile_kind(gate_up) == INT8)
                    swiglu_lanes(sums, tile * LANES, INT8, factors, load(scales), pairs);
                else
                    swiglu_lanes(sums, tile * LANES, BFLOAT16, factors, (Floats){}, pairs);
                put_inside(bench, panel, tile, wide, first, inner, pairs);
            }
        }
    }
    for (long panel = 0; bench->wide && panel < panels; panel++) {
        const char *rows[SQUARE];
        for (long i = 0; i < SQUARE; i++)
            rows[i] = (const char *)(bench->wide + (panel * SQUARE + i) * inner);
        lay_panel(&bench->inner, panel, rows, inner, INT8, bench->scratch);
    }
}

/* What is inside the expert -> its outputs, of token i at out + order[i] * outputs. */
static void leave_tiles(const struct Matrix *down, long expert, const struct Bench *bench, const long *order,
                        uint16_t *out) {
    const long panels = count_panels(bench->inner.count);
    struct Finish finishes[2];
    Square sums[2] __attribute__((aligned(LINE)));
    struct Pending pending[2] = {{.sums = sums[0]}, {.sums = sums[1]}};
    int now = 0;
    pending[1].count = pending[1].done = 0;
    for (long first = 0; first < down->outputs; first += SQUARE) {
        struct Finish *finish = &finishes[first / SQUARE % 2];
        *finish = find_finish(down, expert, first, NULL, 0);
        struct Left left = find_left(down, expert, first, first + TILE_ROWS, bench->scratch);
        look_ahead(&left, SQUARE * left.stride);
        for (long panel = 0; panel < panels; panel++, now = !now) {
            for (long i = 0; i < columns_of(&bench->inner, panel); i++)
                pending[now].out[i] = (char *)(out + order[panel * SQUARE + i] * down->outputs + first);
            multiply_pending(&left, &bench->inner, panel, 0, panels, finish, &pending[now], &pending[!now]);
        }
    }
    finish_rest(&pending[!now]);
}

/* out [T, D] = the weighted sum of the K outputs of each token. */
INLINE void sum_pairs(const struct Tokens *tokens, const uint16_t *outputs, long token, uint16_t *out) {
    for (long at = 0; at < tokens->width; at += LANES) {
        Floats total = {};
        for (long pair = token * tokens->active; pair < (token + 1) * tokens->active; pair++)
            total += widen((const char *)(outputs + pair * tokens->width + at), BFLOAT16) * tokens->weights[pair];
        const Halves halves = narrow_lanes(total);
        memcpy(out + token * tokens->width + at, &halves, sizeof halves);
    }
}

/* out [T, D] = the weighted sum of what the K experts of a token make of it; without `experts` and weights there is
 * one expert for all. Widths are multiples of what a step takes. */
void tile_experts(const struct Tokens *tokens, const struct Matrix *gate_up, const struct Matrix *down, long experts,
                  uint16_t *out, int threads) {
    const long pairs = tokens->count * tokens->active, width = tokens->width, inner = down->inputs;
    const long steps = count_steps(width, tile_kind(gate_up)), inside = count_steps(inner, tile_kind(down));
    long *starts = malloc((experts + 1 + pairs) * sizeof *starts), *order = starts + experts + 1;
    struct Group *groups = malloc((experts + pairs / SQUARE + 1) * sizeof *groups);
    uint16_t *outputs = tokens->weights ? malloc(pairs * width * sizeof *outputs) : out;
    long count = 0;
    sort_pairs(tokens->experts, pairs, experts, starts, order);
    for (long expert = 0; expert < experts; expert++) {
        const long *of = order + starts[expert], all = starts[expert + 1] - starts[expert];
        const long panels = count_panels(all), least = experts == 1 ? threads : 1;
        const long needed = (all + MOST_TOGETHER - 1) / MOST_TOGETHER, parts = round_up(needed, least);
        for (long part = 0; part < parts; part++) {
            const long from = panels * part / parts * SQUARE, to = panels * (part + 1) / parts * SQUARE;
            if (from < to)
                groups[count++] = (struct Group){of + from, expert, (to < all ? to : all) - from};
        }
    }
#pragma omp parallel num_threads(threads)
    {
        struct Bench bench = {
            .tokens = new_right(MOST_TOGETHER + SQUARE, steps),
            .inner = new_right(MOST_TOGETHER + SQUARE, inside),
            .wide = tile_kind(down) == INT8 ? malloc((MOST_TOGETHER + SQUARE) * inner * sizeof(uint16_t)) : NULL,
            .scratch = aligned_alloc(LINE, SQUARE * STEP * (steps > inside ? steps : inside)),
        };
        begin_tiles();
#pragma omp for schedule(dynamic)
        for (long i = 0; i < count; i++) {
            bench.tokens.count = bench.inner.count = groups[i].count;
            for (long panel = 0; panel < count_panels(groups[i].count); panel++) {
                const char *rows[SQUARE];
                for (long at = 0; at < columns_of(&bench.tokens, panel); at++)
                    rows[at] = (const char *)(tokens->hidden +
                                              groups[i].order[panel * SQUARE + at] / tokens->active * width);
                lay_panel(&bench.tokens, panel, rows, width, tile_kind(gate_up), bench.scratch);
            }
            enter_tiles(gate_up, groups[i].expert, &bench);
            leave_tiles(down, groups[i].expert, &bench, groups[i].order, outputs);
        }
        end_tiles();
        free_right(&bench.tokens);
        free_right(&bench.inner);
        free(bench.wide);
        free(bench.scratch);
        if (tokens->weights) {
#pragma omp for
            for (long token = 0; token < tokens->count; token++)
                sum_pairs(tokens, outputs, token, out);
        }
    }
    if (tokens->weights)
        free(outputs);
    free(starts);
    free(groups);
}
#endif
