/* Attention of many queries on a matrix unit, a head at a time: 32 queries meet panels of keys, and their weights
 * panels of values. */
#pragma once
#include "queries.h"
#include "tile_products.h"

#if HAS_TILES
/* What a thread holds of a head: panels of all its tokens, and of 32 queries scores and weights, rows of
 * `stride` numbers. */
struct Desk {
    struct Right keys, values;
    char *queries;
    float *scores;
    uint16_t *weights;
    long total, stride;
};

/* A panel of values has a pair of tokens of 16 or 32 columns in a row. */
static void lay_tile_values(const struct Heads *values, long batch, long group, struct Desk *desk) {
    for (long panel = 0; panel < count_panels(values->width); panel++) {
        const long columns = columns_of(&desk->values, panel), wide = columns > TILE_ROWS ? 2 : 1;
        char *to = panel_of(&desk->values, panel);
        for (long step = 0; step < desk->values.steps; step++)
            for (long tile = 0; tile < wide; tile++)
                for (long pair = 0; pair < TILE_ROWS; pair++, to += STEP) {
                    const long left = columns - tile * TILE_ROWS, some = left < TILE_ROWS ? left : TILE_ROWS;
                    Halves both[2] = {};
                    for (long i = 0; i < 2; i++) {
                        const long token = step * SQUARE + 2 * pair + i;
                        if (token >= desk->total)
                            continue;
                        const uint16_t *from = find(values, batch, group, token) + panel * SQUARE + tile * TILE_ROWS;
                        if (some == TILE_ROWS)
                            memcpy(&both[i], from, sizeof both[i]);
                        else
                            memcpy(&both[i], from, some * sizeof *from);
                    }
                    const Words pairs = interleave(both[0], both[1]);
                    memcpy(to, &pairs, sizeof pairs);
                }
    }
}

/* `count` queries from `first` on, which see `past` tokens and, if `causal`, those up to themselves. */
static void attend_square(const struct Heads *queries, struct Desk *desk, long batch, long head, long first, long count,
                          long past, int causal, float scale, uint16_t *out, long apart) {
    const long width = desk->keys.steps * STEP, end = causal ? past + first + count : past;
    const long row_bytes = desk->stride * sizeof *desk->scores;
    struct Left left = {{desk->queries, desk->queries + TILE_ROWS * width}, .stride = width, .advance = STEP,
                        .steps = desk->keys.steps, .kind = BFLOAT16};
    float totals[SQUARE];
    for (long row = 0; row < count; row++)
        memcpy(desk->queries + row * width, find(queries, batch, head, first + row), queries->width * sizeof(uint16_t));
    for (long panel = 0; panel < count_panels(end); panel++)
        multiply_square(&left, panel_of(&desk->keys, panel), columns_of(&desk->keys, panel) > TILE_ROWS ? 2 : 1,
                        desk->scores + panel * SQUARE, row_bytes, NULL);
    for (long row = 0; row < count; row++)
        totals[row] = weigh(desk->scores + row * desk->stride, causal ? past + first + row + 1 : past,
                            round_up(end, SQUARE), scale, desk->weights + row * desk->stride);
    left = (struct Left){{(char *)desk->weights, (char *)(desk->weights + TILE_ROWS * desk->stride)},
                         .stride = desk->stride * sizeof *desk->weights, .advance = STEP, .steps = count_panels(end),
                         .kind = BFLOAT16};
    for (long panel = 0; panel < count_panels(desk->values.count); panel++) {
        Square sums __attribute__((aligned(LINE)));
        const long columns = columns_of(&desk->values, panel);
        multiply_square(&left, panel_of(&desk->values, panel), columns > TILE_ROWS ? 2 : 1, sums, sizeof *sums, NULL);
        for (long row = 0; row < count; row++)
            for (long lane = 0; lane < columns; lane += LANES) {
                const Halves found = narrow_lanes(load(sums[row] + lane) * (1 / totals[row]));
                uint16_t *to = out + (first + row) * apart + panel * SQUARE + lane;
                if (lane + LANES <= columns)
                    memcpy(to, &found, sizeof found);
                else
                    memcpy(to, &found, (columns - lane) * sizeof *to);
            }
    }
}

/* As `attend_queries`. */
void tile_attend(const struct Heads *queries, const struct Heads *keys, const struct Heads *values, long batches,
                 long heads, long groups, long new, long total, int causal, float scale, uint16_t *out, int threads) {
    const long steps = count_steps(keys->width, BFLOAT16), stride = round_up(total, SQUARE);
    const long past = causal ? total - new : total, apart = heads * values->width;
#pragma omp parallel num_threads(threads)
    {
        struct Desk desk = {new_right(total, steps), new_right(values->width, count_panels(total)),
                            .total = total, .stride = stride};
        desk.queries = calloc(SQUARE, steps * STEP);
        desk.scores = aligned_alloc(LINE, SQUARE * stride * sizeof(float));
        desk.weights = calloc(SQUARE * stride, sizeof(uint16_t));
        begin_tiles();
#pragma omp for schedule(dynamic)
        for (long unit = 0; unit < batches * heads; unit++) {
            const long batch = unit / heads, head = unit % heads, group = head / (heads / groups);
            for (long panel = 0; panel < count_panels(total); panel++) {
                const char *rows[SQUARE];
                for (long i = 0; i < columns_of(&desk.keys, panel); i++)
                    rows[i] = (const char *)find(keys, batch, group, panel * SQUARE + i);
                lay_columns(rows, columns_of(&desk.keys, panel), keys->width * sizeof(uint16_t),
                            panel_of(&desk.keys, panel));
            }
            lay_tile_values(values, batch, group, &desk);
            for (long first = 0; first < new; first += SQUARE)
                attend_square(queries, &desk, batch, head, first, new - first < SQUARE ? new - first : SQUARE, past,
                              causal, scale, out + (batch * new * heads + head) * values->width, apart);
        }
        end_tiles();
        free_right(&desk.keys);
        free_right(&desk.values);
        free(desk.queries);
        free(desk.scores);
        free(desk.weights);
    }
}
#endif
