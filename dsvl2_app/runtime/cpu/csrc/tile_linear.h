/* A dense layer of many tokens on a matrix unit. */
#pragma once
#include "tile_products.h"

#if HAS_TILES
#define CHUNK_BYTES (1 << 20) /* of panels, which stay in a core's cache while weights come by */
#define MOST_STEPS 64         /* of a product at once: sums of one that has more are added up in memory */
#define PACKED_FROM 4         /* panels, for which weights are worth being laid step after step */
#define TOGETHER 4            /* squares below each other that a thread takes at once, of a cut product twice as many */

/* A layer, its tokens, and how it is cut: steps into `cuts`, panels into `chunks`, squares into `parts`. */
struct Dense {
    const struct Matrix *matrix;
    const uint16_t *bias;
    int gelu;
    struct Right right;
    uint16_t *out;
    long cuts, chunks, parts;
};

/* What a thread holds: a square's rows of weights as `find_left` and `pack_left` leave them, and sums. */
struct Shelf {
    char *rows, *packed;
    Square *sums;
};

static struct Dense cut_dense(long count, const struct Matrix *matrix, const uint16_t *bias, int gelu, uint16_t *out) {
    struct Dense dense = {matrix, bias, gelu, .out = out};
    const long panels = count_panels(count), steps = count_steps(matrix->inputs, tile_kind(matrix));
    dense.right = new_right(count, steps);
    dense.cuts = panels < PACKED_FROM ? 1 : (steps + MOST_STEPS - 1) / MOST_STEPS;
    const long most = CHUNK_BYTES / ((steps + dense.cuts - 1) / dense.cuts * 2 * TILE_BYTES) + 1;
    const long together = dense.cuts > 1 ? 2 * TOGETHER : TOGETHER;
    dense.chunks = (panels + most - 1) / most;
    dense.parts = (count_panels(matrix->outputs) + together - 1) / together;
    return dense;
}

/* Squares `first` to `end` of a matrix times panels `from` to `to`, of one cut of the steps. */
static void multiply_cut(struct Dense *dense, long cut, long first, long end, long from, long to, struct Shelf *shelf) {
    const struct Matrix *matrix = dense->matrix;
    const long steps = dense->right.steps, last = cut + 1 == dense->cuts;
    struct Finish finishes[2];
    struct Pending pending[2];
    long number = 0;
    pending[1].count = pending[1].done = 0;
    for (long square = first; square < end; square++) {
        struct Finish *finish = &finishes[square % 2];
        *finish = find_finish(matrix, 0, square * SQUARE, dense->bias, dense->gelu);
        struct Left left = find_left(matrix, 0, square * SQUARE, square * SQUARE + TILE_ROWS, shelf->rows);
        if (dense->cuts > 1 || to - from >= PACKED_FROM)
            left = pack_left(&left, steps * cut / dense->cuts, steps * (cut + 1) / dense->cuts, shelf->packed);
        else
            look_ahead(&left, SQUARE * left.stride);
        for (long panel = from; panel < to; panel++, number++) {
            struct Pending *now = &pending[number % 2], *before = &pending[(number + 1) % 2];
            now->sums = shelf->sums[dense->cuts > 1 ? number : number % 2];
            if (!last) {
                multiply_ahead(&left, &dense->right, panel, from, to, now->sums, NULL);
                continue;
            }
            for (long i = 0; i < columns_of(&dense->right, panel); i++)
                now->out[i] = (char *)(dense->out + (panel * SQUARE + i) * matrix->outputs + square * SQUARE);
            multiply_pending(&left, &dense->right, panel, from, to, finish, now, before);
        }
    }
    if (last)
        finish_rest(&pending[(number + 1) % 2]);
}

/* rows [count, inputs] times a matrix, with a bias or without and GELU or not -> out [count, outputs], an even number. */
void tile_linear(const uint16_t *rows, long count, const struct Matrix *matrix, const uint16_t *bias, int gelu,
                 uint16_t *out, int threads) {
    struct Dense dense = cut_dense(count, matrix, bias, gelu, out);
    const long steps = dense.right.steps, panels = count_panels(count), squares = count_panels(matrix->outputs);
    const long most = (squares / dense.parts + 1) * (panels / dense.chunks + 1); /* squares' sums of a cut product */
#pragma omp parallel num_threads(threads)
    {
        struct Shelf shelf = {
            .rows = aligned_alloc(LINE, SQUARE * steps * STEP),
            .packed = aligned_alloc(LINE, SQUARE * steps * STEP),
            .sums = aligned_alloc(LINE, (dense.cuts > 1 ? most : 2) * sizeof(Square)),
        };
        begin_tiles();
#pragma omp for schedule(dynamic)
        for (long panel = 0; panel < panels; panel++) {
            const char *columns[SQUARE];
            for (long i = 0; i < columns_of(&dense.right, panel); i++)
                columns[i] = (const char *)(rows + (panel * SQUARE + i) * matrix->inputs);
            lay_panel(&dense.right, panel, columns, matrix->inputs, tile_kind(matrix), shelf.rows);
        }
#pragma omp for schedule(dynamic)
        for (long unit = 0; unit < dense.chunks * dense.parts; unit++) {
            const long chunk = unit / dense.parts, part = unit % dense.parts;
            for (long cut = 0; cut < dense.cuts; cut++)
                multiply_cut(&dense, cut, squares * part / dense.parts, squares * (part + 1) / dense.parts,
                             panels * chunk / dense.chunks, panels * (chunk + 1) / dense.chunks, &shelf);
        }
        end_tiles();
        free(shelf.rows);
        free(shelf.packed);
        free(shelf.sums);
    }
    free_right(&dense.right);
}
#endif
