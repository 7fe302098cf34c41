/* Many rows of activations on a matrix unit: squares of 32 rows of weights times 32 tokens. What becomes of a square is
 * worked out while the next one is multiplied, by the rest of the core.
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

typedef float Square[SQUARE][SQUARE]; /* or int32_t; a row per output, a column per token */

/* Two times 16 rows, which need not be neighbours, and bytes from one row to the next and from one step to the next;
 * what is left behind whole steps, as 32 rows of one step, if there is something; and rows to fetch meanwhile, `ahead`
 * of each half. */
struct Left {
    const char *rows[2], *rest, *ahead[2];
    long stride, advance, steps, fetch_from, fetch_to;
    long from; /* the step of a panel that its first one meets */
    enum Kind kind;
    int packed, adds; /* whether it lies step after step; and comes to sums that are there */
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

/* -- what becomes of sums ----------------------------------------------------------------------------------------- */

/* A factor of each row and a bias, then GELU. */
struct Finish {
    float factors[SQUARE], biases[SQUARE];
    long height;
    enum Kind kind;
    int gelu;
};

/* A square's sums, of which `done` pieces are finished: each is two rows of LANES tokens. `scales` are of int8 tokens;
 * numbers of token i go to out[i], places that the square after it will write are at `later`. */
struct Pending {
    float (*sums)[SQUARE];
    Words lines[LANES];
    const struct Finish *finish;
    const float *scales;
    char *out[SQUARE], *const *later;
    long count, done;
};

INLINE Floats sums_of(Square sums, long row, long lane, enum Kind kind) {
    if (kind != INT8)
        return load(sums[row] + lane);
    Ints whole;
    memcpy(&whole, sums[row] + lane, sizeof whole);
    return __builtin_convertvector(whole, Floats);
}

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

INLINE Floats finish_lanes(const struct Pending *pending, long row, long lane, enum Kind kind, int curve) {
    Floats found = sums_of(pending->sums, row, lane, kind);
    if (kind == INT8)
        found *= load(pending->scales + lane) * pending->finish->factors[row];
    found += pending->finish->biases[row];
    return curve ? gelu(found) : found;
}

/* LANES tokens whose lines are complete. */
INLINE void store_lines(struct Pending *pending, long lane) {
    const long count = pending->count - lane, height = pending->finish->height;
    transpose(pending->lines);
    if (height == SQUARE && count >= LANES)
#pragma GCC unroll 16
        for (long i = 0; i < LANES; i++)
            memcpy(pending->out[lane + i], &pending->lines[i], sizeof pending->lines[i]);
    else
        for (long i = 0; i < LANES && i < count; i++)
            memcpy(pending->out[lane + i], &pending->lines[i], height * sizeof(uint16_t));
}

/* `kind` and `curve` are constants where this is inlined. */
INLINE void finish_piece(struct Pending *pending, enum Kind kind, int curve) {
    const long lane = pending->done / LANES * LANES, pair = pending->done % LANES;
    if (pending->later)
        __builtin_prefetch(pending->later[pending->done], 1);
    pending->lines[pair] = pair_up(finish_lanes(pending, 2 * pair, lane, kind, curve),
                                   finish_lanes(pending, 2 * pair + 1, lane, kind, curve));
    pending->done++;
    if (pair + 1 == LANES)
        store_lines(pending, lane);
}

INLINE int is_left(const struct Pending *pending) {
    return pending->done < round_up(pending->count, LANES);
}

static void finish_rest(struct Pending *pending) {
    while (is_left(pending))
        if (pending->finish->kind == INT8)
            finish_piece(pending, INT8, 0);
        else if (pending->finish->gelu)
            finish_piece(pending, BFLOAT16, 1);
        else
            finish_piece(pending, BFLOAT16, 0);
}

/* -- the square --------------------------------------------------------------------------------------------------- */

/* Products of all steps with one or two tiles of a panel, into four sums, so that none waits for the one before it; after
 * each step a piece of what is `pending`. All but `left` and `panel` are constants where this is inlined. */
INLINE void multiply_steps(const struct Left *left, const char *panel, enum Kind kind, int wide, int curve,
                           struct Pending *pending) {
    const int packed = left->packed;
    for (long step = 0; step < left->steps + (left->rest != NULL); step++) {
        const int rest = step == left->steps;
        const long stride = rest ? STEP : left->stride;
        const char *first = rest ? left->rest : left->rows[0] + step * left->advance;
        const char *second = rest ? left->rest + TILE_BYTES : left->rows[1] + step * left->advance;
        if (packed)
            tile_stream(4, first, STEP);
        else
            tile_load(4, first, stride);
        tile_stream(6, panel, STEP);
        if (kind == INT8)
            tile_multiply_int8(0, 4, 6);
        else
            tile_multiply(0, 4, 6);
        if (packed)
            tile_stream(5, second, STEP);
        else
            tile_load(5, second, stride);
        if (kind == INT8)
            tile_multiply_int8(1, 5, 6);
        else
            tile_multiply(1, 5, 6);
        if (wide == 2) {
            tile_stream(7, panel + TILE_BYTES, STEP);
            if (kind == INT8) {
                tile_multiply_int8(2, 4, 7);
                tile_multiply_int8(3, 5, 7);
            } else {
                tile_multiply(2, 4, 7);
                tile_multiply(3, 5, 7);
            }
        }
        panel += wide * TILE_BYTES;
        for (long row = left->fetch_from; !rest && row < left->fetch_to; row++)
            __builtin_prefetch(left->ahead[row / TILE_ROWS] + row % TILE_ROWS * left->stride + step * STEP, 0, 2);
        if (pending && is_left(pending))
            finish_piece(pending, kind, curve);
    }
}

/* `before` is a constant where it is NULL. */
INLINE void multiply_kinds(const struct Left *left, const char *panel, int wide, struct Pending *before) {
    if (left->kind == INT8 && wide == 2)
        multiply_steps(left, panel, INT8, 2, 0, before);
    else if (left->kind == INT8)
        multiply_steps(left, panel, INT8, 1, 0, before);
    else if (before && before->finish->gelu && wide == 2)
        multiply_steps(left, panel, BFLOAT16, 2, 1, before);
    else if (before && before->finish->gelu)
        multiply_steps(left, panel, BFLOAT16, 1, 1, before);
    else if (wide == 2)
        multiply_steps(left, panel, BFLOAT16, 2, 0, before);
    else
        multiply_steps(left, panel, BFLOAT16, 1, 0, before);
}

/* sums [32, 32] = rows times the columns of a panel, `stride` bytes from one row of sums to the next, while those of the
 * square `before`, if there is one, are finished. The first line says that panels in memory are complete: a tile's load
 * does not tell GCC 12 that it reads. */
static void multiply_square(const struct Left *left, const char *panel, int wide, void *sums, long stride,
                            struct Pending *before) {
    char *to = sums, *below = to + TILE_ROWS * stride;
    __asm__ volatile("" ::: "memory");
    if (left->adds) {
        tile_load(0, to, stride);
        tile_load(1, below, stride);
        tile_load(2, to + STEP, stride);
        tile_load(3, below + STEP, stride);
    } else {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
    }
    if (before && is_left(before)) {
        multiply_kinds(left, panel, wide, before);
        finish_rest(before);
    } else
        multiply_kinds(left, panel, wide, NULL);
    tile_store(0, to, stride);
    tile_store(1, below, stride);
    tile_store(2, to + STEP, stride);
    tile_store(3, below + STEP, stride);
}

/* The same of one of several panels, during which a share of the rows that lie `ahead` is fetched. */
INLINE void multiply_ahead(struct Left *left, const struct Right *right, long panel, long first, long end, Square sums,
                           struct Pending *before) {
    left->fetch_from = left->ahead[0] ? SQUARE * (panel - first) / (end - first) : 0;
    left->fetch_to = left->ahead[0] ? SQUARE * (panel - first + 1) / (end - first) : 0;
    const int wide = columns_of(right, panel) > TILE_ROWS ? 2 : 1;
    multiply_square(left, panel_of(right, panel) + left->from * wide * TILE_BYTES, wide, sums, sizeof(Square) / SQUARE,
                    before);
}

/* A panel's square, which becomes `now`, while the one before it is finished. */
static void multiply_pending(struct Left *left, const struct Right *right, long panel, long first, long end,
                             const struct Finish *finish, struct Pending *now, struct Pending *before) {
    now->finish = finish;
    now->scales = right->scales + panel * SQUARE;
    now->count = columns_of(right, panel);
    now->done = 0;
    now->later = NULL;
    for (long i = now->count; i < SQUARE; i++)
        now->out[i] = now->out[0];
    before->later = now->out;
    multiply_ahead(left, right, panel, first, end, now->sums, before);
}

INLINE void look_ahead(struct Left *left, long bytes) {
    for (int half = 0; half < 2; half++)
        left->ahead[half] = left->rows[half] + bytes;
}

/* -- weights ------------------------------------------------------------------------------------------------------ */

/* Rows `first` and `second` and the 15 behind each, where they lie; what does not fill a step, and squares that are not
 * complete, as a copy in `scratch` with zeros for what is missing, and int4 there as bfloat16. */
static struct Left find_left(const struct Matrix *matrix, long which, long first, long second, char *scratch) {
    const enum Kind kind = matrix->kind;
    const long bytes = matrix->inputs * SIZES[tile_kind(matrix)], steps = bytes / STEP;
    const char *weights = matrix->weights + which * matrix->stride * SIZES[kind];
    struct Left left = {{weights + first * bytes, weights + second * bytes}, .stride = bytes, .advance = STEP,
                        .steps = steps, .kind = kind};
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
        left = (struct Left){{scratch, scratch + TILE_ROWS * stride}, .stride = stride, .advance = STEP,
                             .steps = stride / STEP, .kind = tile_kind(matrix)};
    return left;
}

/* Steps `from` to `end` of it, laid step after step in `scratch`, where tiles are aligned and can be read past the first
 * cache. */
static struct Left pack_left(const struct Left *left, long from, long end, char *scratch) {
    const long whole = end < left->steps ? end : left->steps;
    for (long some = from; some < whole; some += 4) /* whose lines stay in the first cache */
        for (long row = 0; row < SQUARE; row++)
            for (long step = some; step < whole && step < some + 4; step++)
                memcpy(scratch + (step - from) * 2 * TILE_BYTES + row * STEP,
                       left->rows[row / TILE_ROWS] + row % TILE_ROWS * left->stride + step * left->advance, STEP);
    if (end > whole)
        memcpy(scratch + (whole - from) * 2 * TILE_BYTES, left->rest, 2 * TILE_BYTES);
    return (struct Left){{scratch, scratch + TILE_BYTES}, .stride = STEP, .advance = 2 * TILE_BYTES,
                         .steps = end - from, .from = from, .kind = left->kind, .packed = 1, .adds = from > 0};
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
#endif
