/* One product of tiles, as instructions or emulated: sums [16, 16] += left [16, 64 bytes] x right [16, 64 bytes]. */
#include "tiles.h"

int multiply_one(int int8, void *sums, const void *left, const void *right) {
    if (!request_tiles())
        return 0;
    __asm__ volatile("" ::: "memory");
    begin_tiles();
    tile_load(0, sums, STEP);
    tile_load(1, left, STEP);
    tile_load(2, right, STEP);
    if (int8)
        tile_multiply_int8(0, 1, 2);
    else
        tile_multiply(0, 1, 2);
    tile_store(0, sums, STEP);
    end_tiles();
    return 1;
}
