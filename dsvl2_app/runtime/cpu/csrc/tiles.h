/* The instructions of a matrix unit (Intel AMX): eight tiles of 16 rows of 64 bytes, of which one is added the product
 * of two others.
 *
 * The right one of these holds in a row what four neighbouring bytes of all rows of the left one meet: two bfloat16 or
 * four int8 of each of 16 columns. -DEMULATE_TILES has the same in plain C, which rounds as the instructions do, if it
 * is compiled with -fno-associative-math.
 */
#pragma once
#include "matrices.h"

#define TILE_ROWS 16
#define TILE_BYTES 1024
#define STEP 64 /* bytes of a row */

#if defined(EMULATE_TILES)
#define HAS_TILES 1
#include <math.h>

typedef char Tile[TILE_ROWS][STEP];
static _Thread_local Tile tiles[8];

static int request_tiles(void) {
    return 1;
}

static void begin_tiles(void) {}

static void end_tiles(void) {}

INLINE void tile_zero(int tile) {
    memset(tiles[tile], 0, TILE_BYTES);
}

INLINE void tile_load(int tile, const void *from, long stride) {
    for (long row = 0; row < TILE_ROWS; row++)
        memcpy(tiles[tile][row], (const char *)from + row * stride, STEP);
}

#define tile_stream(tile, from, stride) tile_load(tile, from, stride)

INLINE void tile_store(int tile, void *to, long stride) {
    for (long row = 0; row < TILE_ROWS; row++)
        memcpy((char *)to + row * stride, tiles[tile][row], STEP);
}

/* What is below the smallest normal number counts as 0, before and after each operation. */
INLINE float flush(float number) {
    return fabsf(number) < 0x1p-126f ? copysignf(0, number) : number;
}

/* Sums of even and of odd products grow apart from each other, and meet at the end. */
INLINE void tile_multiply(int sum, int left, int right) {
    for (int row = 0; row < TILE_ROWS; row++)
        for (int column = 0; column < STEP / 4; column++) {
            float halves[2] = {}, total;
            for (int pair = 0; pair < TILE_ROWS; pair++)
                for (int half = 0; half < 2; half++)
                    halves[half] = flush(fmaf(flush(widen_one(&tiles[left][row][4 * pair + 2 * half], BFLOAT16)),
                                              flush(widen_one(&tiles[right][pair][4 * column + 2 * half], BFLOAT16)),
                                              halves[half]));
            memcpy(&total, &tiles[sum][row][4 * column], sizeof total);
            total = flush(flush(total) + flush(halves[0] + halves[1]));
            memcpy(&tiles[sum][row][4 * column], &total, sizeof total);
        }
}

INLINE void tile_multiply_int8(int sum, int left, int right) {
    for (int row = 0; row < TILE_ROWS; row++)
        for (int column = 0; column < STEP / 4; column++) {
            int32_t total;
            memcpy(&total, &tiles[sum][row][4 * column], sizeof total);
            for (int i = 0; i < STEP; i++)
                total += (int8_t)tiles[left][row][i] * (int8_t)tiles[right][i / 4][4 * column + i % 4];
            memcpy(&tiles[sum][row][4 * column], &total, sizeof total);
        }
}

#elif defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__linux__)
#define HAS_TILES 1
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define TILE_DATA 18 /* of a process' state */

/* Whether the processor has tiles and the kernel lets this process, and threads that it starts, use them. */
static int request_tiles(void) {
    unsigned a, b, c, d = 0;
    const unsigned wanted = 1u << 22 | 1u << 24 | 1u << 25; /* bfloat16, tiles, int8 */
    __get_cpuid_count(7, 0, &a, &b, &c, &d);
    return (d & wanted) == wanted && !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA);
}

/* Each thread, before it uses tiles: all are whole. */
static void begin_tiles(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        shape.bytes[tile] = STEP;
        shape.rows[tile] = TILE_ROWS;
    }
    _tile_loadconfig(&shape);
}

static void end_tiles(void) {
    _tile_release();
}

#define tile_zero(tile) _tile_zero(tile)
#define tile_load(tile, from, stride) _tile_loadd(tile, from, stride)
#define tile_stream(tile, from, stride) _tile_stream_loadd(tile, from, stride) /* past the first cache */
#define tile_store(tile, to, stride) _tile_stored(tile, to, stride)
#define tile_multiply(sum, left, right) _tile_dpbf16ps(sum, left, right)
#define tile_multiply_int8(sum, left, right) _tile_dpbssd(sum, left, right)
#else
#define HAS_TILES 0
#endif
