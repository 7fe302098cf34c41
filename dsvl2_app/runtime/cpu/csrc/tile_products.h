/* Many rows of activations on a matrix unit: squares of 32 rows of weights times 32 tokens.
 *
 * Weights are the left side and lie where they always do, row after row, so that nothing is packed when a model is
 * loaded and decode reads the same memory. The right side are panels: 32 tokens each, 64 bytes of every token a step.
 * int8 weights meet tokens as int8, each with a scale of its own.
 */
#pragma once
#include "tiles.h"
#include "vectors.h"
#include <stdlib.h>

#if HAS_TILES
#define SQUARE (2 * TILE_ROWS)
#define CHUNK_BYTES (1 << 20) /* of panels, which stay in a core's cache while weights come by */
#define TOGETHER 4            /* squares below each other that a thread takes at once */

typedef float Square[SQUARE][SQUARE]; /* or int32_t; a row per output, a column per token */

/* Two times 16 rows, which need not be neighbours; what is left behind whole steps, as 32 rows of one step, if there is
 * something; and rows to fetch meanwhile, `ahead` of each half. */
struct Left {
    const char *rows[2], *rest, *ahead[2];
    long stride, steps, fetch_from, fetch_to;
    enum Kind kind;
};

/* `count` columns in panels, and of int8 the scale of each. */
struct Right {
    char *panels;
    float *scales;
    long count, steps;
};

INLINE long round_up(long number, long multiple) {
    return (number + multiple - 1) / multiple * multiple;
}

/* As what a matrix is multiplied: int4 is unpacked. */
INLINE enum Kind tile_kind(const struct Matrix *matrix) {
    return matrix->kind == INT4 ? BFLOAT16 : matrix->kind;
}

INLINE long count_steps(long inputs, enum Kind kind) {
    return (bytes_of(kind, inputs) + STEP - 1) / STEP;
}

INLINE long count_panels(long columns) {
    return (columns + SQUARE - 1) / SQUARE;
}

INLINE char *panel_of(const struct Right *right, long panel) {
    return right->panels + panel * right->steps * 2 * TILE_BYTES;
}

/* Columns of a panel. */
INLINE long columns_of(const struct Right *right, long panel) {
    const long left = right->count - panel * SQUARE;
    return left < SQUARE ? left : SQUARE;
}

static struct Right new_right(long count, long steps) {
    return (struct Right){aligned_alloc(LINE, round_up(count, SQUARE) * steps * STEP),
                          malloc(round_up(count, SQUARE) * sizeof(float)), count, steps};
}

static void free_right(struct Right *right) {
    free(right->panels);
    free(right->scales);
}

/* -- the square --------------------------------------------------------------------------------------------------- */

/* Four sums, so that none waits for the one before it. */
#define ONE_STEP(product, wide, first, second, stride) \
    tile_load(4, first, stride); \
    tile_load(6, panel, STEP); \
    product(0, 4, 6); \
    tile_load(5, second, stride); \
    product(1, 5, 6); \
    if (wide == 2) { \
        tile_load(7, panel + TILE_BYTES, STEP); \
        product(2, 4, 7); \
        product(3, 5, 7); \
    } \
    panel += wide * TILE_BYTES;

#define STEPS(product, wide) \
    for (long step = 0; step < left->steps; step++) { \
        ONE_STEP(product, wide, left->rows[0] + step * STEP, left->rows[1] + step * STEP, left->stride) \
        for (long row = left->fetch_from; row < left->fetch_to; row++) \
            __builtin_prefetch(left->ahead[row / TILE_ROWS] + row % TILE_ROWS * left->stride + step * STEP, 0, 2); \
    } \
    if (left->rest) { \
        ONE_STEP(product, wide, left->rest, left->rest + TILE_BYTES, STEP) \
    }

/* sums [32, 32] = rows times the columns of a panel, `stride` bytes from one row of sums to the next. The first line
 * says that panels in memory are complete: a tile's load does not tell GCC 12 that it reads. */
static void multiply_square(const struct Left *left, const char *panel, int wide, void *sums, long stride) {
    __asm__ volatile("" ::: "memory");
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    if (left->kind == INT8) {
        if (wide == 2) {
            STEPS(tile_multiply_int8, 2)
        } else {
            STEPS(tile_multiply_int8, 1)
        }
    } else if (wide == 2) {
        STEPS(tile_multiply, 2)
    } else {
        STEPS(tile_multiply, 1)
    }
    tile_store(0, sums, stride);
    tile_store(1, (char *)sums + TILE_ROWS * stride, stride);
    tile_store(2, (char *)sums + STEP, stride);
    tile_store(3, (char *)sums + TILE_ROWS * stride + STEP, stride);
}

/* The same of one of several panels, during which a share of the rows that lie `ahead` is fetched. */
INLINE void multiply_ahead(struct Left *left, const struct Right *right, long panel, long first, long end,
                           Square sums) {
    left->fetch_from = left->ahead[0] ? SQUARE * (panel - first) / (end - first) : 0;
    left->fetch_to = left->ahead[0] ? SQUARE * (panel - first + 1) / (end - first) : 0;
    multiply_square(left, panel_of(right, panel), columns_of(right, panel) > TILE_ROWS ? 2 : 1, sums,
                    sizeof(Square) / SQUARE);
}

INLINE void look_ahead(struct Left *left, long bytes) {
    for (int half = 0; half < 2; half++)
        left->ahead[half] = left->rows[half] + bytes;
}

INLINE Floats sums_of(Square sums, long row, long lane, enum Kind kind) {
    if (kind != INT8)
        return load(sums[row] + lane);
    Ints whole;
    memcpy(&whole, sums[row] + lane, sizeof whole);
    return __builtin_convertvector(whole, Floats);
}

/* -- weights ------------------------------------------------------------------------------------------------------ */

/* Rows `first` and `second` and the 15 behind each, where they lie; what does not fill a step, and squares that are not
 * complete, as a copy in `scratch` with zeros for what is missing, and int4 there as bfloat16. */
static struct Left find_left(const struct Matrix *matrix, long which, long first, long second, char *scratch) {
    const enum Kind kind = matrix->kind;
    const long bytes = matrix->inputs * SIZES[tile_kind(matrix)], steps = bytes / STEP;
    const char *weights = matrix->weights + which * matrix->stride * SIZES[kind];
    struct Left left = {{weights + first * bytes, weights + second * bytes}, .stride = bytes, .steps = steps, .kind = kind};
    const int complete = first + TILE_ROWS <= matrix->outputs && second + TILE_ROWS <= matrix->outputs;
    const int whole = complete && kind != INT4;
    if (whole && bytes == steps * STEP)
        return left;
    const long skipped = whole ? steps * STEP : 0, stride = round_up(bytes - skipped, STEP);
    if (!complete || stride > bytes - skipped)
        memset(scratch, 0, SQUARE * stride);
    for (long row = 0; row < SQUARE; row++) {
        const long from = (row < TILE_ROWS ? first : second) + row % TILE_ROWS;
        if (from < matrix->outputs && kind == INT4)
            unpack_row_of(matrix, which, from, (uint16_t *)(scratch + row * stride));
        else if (from < matrix->outputs)
            memcpy(scratch + row * stride, weights + from * bytes + skipped, bytes - skipped);
    }
    if (whole)
        left.rest = scratch;
    else
        left = (struct Left){{scratch, scratch + TILE_ROWS * stride}, .stride = stride, .steps = stride / STEP,
                             .kind = tile_kind(matrix)};
    return left;
}

/* -- tokens ------------------------------------------------------------------------------------------------------- */

/* Rows of so many bytes as the columns of a panel. */
static void lay_columns(const char *const *rows, long count, long bytes, char *panel) {
    const long wide = count > TILE_ROWS ? 2 : 1;
    for (long at = 0; at < bytes; at += STEP)
        for (long tile = 0; tile < wide; tile++, panel += TILE_BYTES) {
            Words lines[TILE_ROWS] = {};
            for (long i = 0; i < TILE_ROWS && tile * TILE_ROWS + i < count; i++) {
                const char *from = rows[tile * TILE_ROWS + i] + at;
                if (at + STEP <= bytes)
                    memcpy(&lines[i], from, STEP);
                else
                    memcpy(&lines[i], from, bytes - at);
            }
            transpose(lines);
            memcpy(panel, lines, TILE_BYTES);
        }
}

/* bfloat16 -> int8 [width, a multiple of LANES]; returns the scale that undoes it. */
static float quantise_row(const char *from, long width, int8_t *to) {
    Floats peaks = {};
    for (long at = 0; at < width; at += LANES)
        peaks = larger_lanes(absolute(widen(from + 2 * at, BFLOAT16)), peaks);
    const float peak = largest(peaks), factor = peak > 0 ? 127 / peak : 0;
    for (long at = 0; at < width; at += LANES) {
        const Bytes bytes = __builtin_convertvector(round_lanes(widen(from + 2 * at, BFLOAT16) * factor), Bytes);
        memcpy(to + at, &bytes, sizeof bytes);
    }
    return peak / 127;
}

/* bfloat16 rows [width] as one panel of `right`, for weights of that kind; `scratch` holds SQUARE rows. */
static void lay_panel(struct Right *right, long panel, const char **rows, long width, enum Kind kind, char *scratch) {
    const long count = columns_of(right, panel), bytes = width * SIZES[kind];
    for (long i = 0; kind == INT8 && i < count; i++) {
        int8_t *narrowed = (int8_t *)scratch + i * bytes;
        right->scales[panel * SQUARE + i] = quantise_row(rows[i], width, narrowed);
        rows[i] = (const char *)narrowed;
    }
    lay_columns(rows, count, bytes, panel_of(right, panel));
}

/* -- a layer ------------------------------------------------------------------------------------------------------ */

/* What becomes of a square's sums: a factor of each row and a bias, then GELU. */
struct Finish {
    float factors[SQUARE], biases[SQUARE];
    long height;
    enum Kind kind;
    int gelu;
};

static struct Finish find_finish(const struct Matrix *matrix, long which, long first, const uint16_t *bias, int gelu) {
    struct Finish finish = {.height = matrix->outputs - first, .kind = tile_kind(matrix), .gelu = gelu};
    if (finish.height > SQUARE)
        finish.height = SQUARE;
    for (long row = 0; row < finish.height; row++) {
        finish.factors[row] = weight_scale(matrix, which, first + row);
        finish.biases[row] = bias ? widen_one((const char *)(bias + first + row), BFLOAT16) : 0;
    }
    return finish;
}

INLINE Floats finish_lanes(const struct Finish *finish, Square sums, long row, long lane, enum Kind kind, int curve,
                           Floats columns) {
    Floats found = sums_of(sums, row, lane, kind);
    if (kind == INT8)
        found *= columns * finish->factors[row];
    found += finish->biases[row];
    return curve ? gelu(found) : found;
}

/* `kind` and `curve` are constants where this is inlined. */
INLINE void store_lanes(const struct Finish *finish, Square sums, long lane, enum Kind kind, int curve, Floats columns,
                        long count, char *const *out) {
    Words lines[LANES];
#pragma GCC unroll 16
    for (long pair = 0; pair < LANES; pair++)
        lines[pair] = pair_up(finish_lanes(finish, sums, 2 * pair, lane, kind, curve, columns),
                              finish_lanes(finish, sums, 2 * pair + 1, lane, kind, curve, columns));
    transpose(lines);
    if (finish->height == SQUARE && lane + LANES <= count)
#pragma GCC unroll 16
        for (long i = 0; i < LANES; i++)
            memcpy(out[lane + i], &lines[i], sizeof lines[i]);
    else
        for (long i = 0; i < LANES && lane + i < count; i++)
            memcpy(out[lane + i], &lines[i], finish->height * sizeof(uint16_t));
}

/* Up to SQUARE numbers of each of `count` tokens -> out[i]. */
static void store_square(const struct Finish *finish, Square sums, const float *scales, long count, char *const *out) {
    for (long lane = 0; lane < count; lane += LANES)
        if (finish->kind == INT8)
            store_lanes(finish, sums, lane, INT8, 0, load(scales + lane), count, out);
        else if (finish->gelu)
            store_lanes(finish, sums, lane, BFLOAT16, 1, (Floats){}, count, out);
        else
            store_lanes(finish, sums, lane, BFLOAT16, 0, (Floats){}, count, out);
}

/* Squares `first` to `end` of a matrix times panels `from` to `to`. */
static void multiply_chunk(const struct Matrix *matrix, const uint16_t *bias, int gelu, const struct Right *right,
                           long first, long end, long from, long to, uint16_t *out, char *scratch) {
    for (long square = first; square < end; square++) {
        const struct Finish finish = find_finish(matrix, 0, square * SQUARE, bias, gelu);
        struct Left left = find_left(matrix, 0, square * SQUARE, square * SQUARE + TILE_ROWS, scratch);
        look_ahead(&left, SQUARE * left.stride);
        for (long panel = from; panel < to; panel++) {
            Square sums __attribute__((aligned(LINE)));
            char *tokens[SQUARE];
            const long count = columns_of(right, panel);
            for (long i = 0; i < count; i++)
                tokens[i] = (char *)(out + (panel * SQUARE + i) * matrix->outputs + square * SQUARE);
            multiply_ahead(&left, right, panel, from, to, sums);
            store_square(&finish, sums, right->scales + panel * SQUARE, count, tokens);
        }
    }
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
