/* A dense layer of many tokens on a matrix unit. */
#pragma once
#include "tile_products.h"

#if HAS_TILES
#define CHUNK_BYTES (1 << 20) /* of panels, which stay in a core's cache while weights come by */
#define TOGETHER 4            /* squares below each other that a thread takes at once */

/* Squares `first` to `end` of a matrix times panels `from` to `to`. */
static void multiply_chunk(const struct Matrix *matrix, const uint16_t *bias, int gelu, const struct Right *right,
                           long first, long end, long from, long to, uint16_t *out, char *scratch) {
    struct Finish finishes[2];
    struct Pending pending[2] __attribute__((aligned(LINE)));
    int now = 0;
    pending[1].count = pending[1].done = 0;
    for (long square = first; square < end; square++) {
        struct Finish *finish = &finishes[square % 2];
        *finish = find_finish(matrix, 0, square * SQUARE, bias, gelu);
        struct Left left = find_left(matrix, 0, square * SQUARE, square * SQUARE + TILE_ROWS, scratch);
        look_ahead(&left, SQUARE * left.stride);
        for (long panel = from; panel < to; panel++, now = !now) {
            for (long i = 0; i < columns_of(right, panel); i++)
                pending[now].out[i] = (char *)(out + (panel * SQUARE + i) * matrix->outputs + square * SQUARE);
            multiply_pending(&left, right, panel, from, to, finish, &pending[now], &pending[!now]);
        }
    }
    finish_rest(&pending[!now]);
}

/* rows [count, inputs] times a matrix, with a bias or without and GELU or not -> out [count, outputs], an even number. */
void tile_linear(const uint16_t *rows, long count, const struct Matrix *matrix, const uint16_t *bias, int gelu,
                 uint16_t *out, int threads) {
    const enum Kind kind = tile_kind(matrix);
    const long steps = count_steps(matrix->inputs, kind), panels = count_panels(count);
    const long most = CHUNK_BYTES / (steps * 2 * TILE_BYTES) + 1, chunks = (panels + most - 1) / most;
    const long squares = count_panels(matrix->outputs), parts = (squares + TOGETHER - 1) / TOGETHER;
    struct Right right = new_right(count, steps);
#pragma omp parallel num_threads(threads)
    {
        char *scratch = aligned_alloc(LINE, SQUARE * steps * STEP);
        begin_tiles();
#pragma omp for schedule(dynamic)
        for (long panel = 0; panel < panels; panel++) {
            const char *columns[SQUARE];
            for (long i = 0; i < columns_of(&right, panel); i++)
                columns[i] = (const char *)(rows + (panel * SQUARE + i) * matrix->inputs);
            lay_panel(&right, panel, columns, matrix->inputs, kind, scratch);
        }
#pragma omp for schedule(dynamic)
        for (long unit = 0; unit < chunks * parts; unit++) {
            const long chunk = unit / parts, part = unit % parts;
            multiply_chunk(matrix, bias, gelu, &right, squares * part / parts, squares * (part + 1) / parts,
                           panels * chunk / chunks, panels * (chunk + 1) / chunks, out, scratch);
        }
        end_tiles();
        free(scratch);
    }
    free_right(&right);
}
#endif
