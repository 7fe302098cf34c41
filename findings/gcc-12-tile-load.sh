#!/usr/bin/env bash
# GCC's _tile_loadd does not tell the compiler that it reads memory: what was written just before it may be left out.
#
# Expected: an intrinsic that loads sees the stores before it in the program, as _mm512_loadu_si512 does.
# Happens: the header makes it an asm statement whose only input is the address; _tile_stored has a "memory" clobber, the
#   load has none. With optimisation the compiler finds nobody who reads the buffer before it is written again, and drops
#   the stores. Without it, or with an empty asm that clobbers memory in front, they stand.
# Shown: the assembly of a function that fills a buffer with ones, loads a tile of it, fills it with twos and stores the
#   tile: is 0x01 repeated written before the tile is loaded? Nothing needs to run, so any x86-64 will do.
# Matters here: panels of weights and activations are packed into a buffer right before tiles load them, the usual way to use
#   AMX. The numbers are wrong on one compiler's level and right on another's. Our kernels put the clobber in front.
# Source: Debian 12's GCC 12.2, amxtileintrin.h; the script takes the compiler that it finds, and expects this of 11 to 13.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/tile.c" <<'C'
#include <immintrin.h>
#include <string.h>

void load_between(unsigned char *out) {
    unsigned char rows[1024];
    memset(rows, 1, sizeof rows);
    FENCE;
    _tile_loadd(0, rows, 64);
    memset(rows, 2, sizeof rows);
    _tile_stored(0, out, 64);
    memcpy(out + 1024, rows, sizeof rows);
}
C
gcc --version | head -1
stands() { # stands LEVEL FENCE: is anything filled with ones before the tile is loaded?
    gcc "-$1" -mamx-tile "-DFENCE=$2" -S -o "$folder/tile.s" "$folder/tile.c"
    if sed '/tileloadd/,$d' "$folder/tile.s" | grep -qE '72340172838076673|16843009|memset|\$1, '; then echo yes; else echo no; fi
}
plain=$(stands O0 "") dropped=$(stands O2 "") fenced=$(stands O2 '__asm__ volatile("" ::: "memory")')
echo "ones are written before the tile is loaded: -O0 $plain, -O2 $dropped, -O2 with a memory clobber in front $fenced"
if [ "$plain $dropped $fenced" = "yes no yes" ]; then echo "as described"; else echo "NOT as described any more"; exit 1; fi
