/* Threads that work through the stages of a step together, inside one parallel region.
 *
 * A stage is cut into pieces. Each thread works through its own chunk of them, neighbours in memory, and then helps
 * those that are late, so that a core which others use too delays nobody for long. Between two stages threads spin;
 * they sleep only after a while.
 */
#pragma once
#include <omp.h>
#include <sched.h>
#include <stdlib.h>

#define SPINS 4000

struct Chunk {
    long done;
    char apart[56]; /* each in a cache line of its own */
};

struct Team {
    struct Chunk *chunks;
    int threads;
    long arrived, stage;
};

struct Piece {
    long first, end;
    int helped; /* chunks that are finished, from the thread's own on; 0 at first */
};

/* The number of this thread, first of all. Nobody waits for the others here. */
static int join(struct Team *team) {
    __atomic_store_n(&team->threads, omp_get_num_threads(), __ATOMIC_RELAXED);
    return omp_get_thread_num();
}

static int count_threads(const struct Team *team) {
    return __atomic_load_n(&team->threads, __ATOMIC_RELAXED);
}

/* The next piece of `total` for this thread, at most `size` long; 0 when there is none left. */
static int take(struct Team *team, int thread, long total, long size, struct Piece *piece) {
    const int threads = count_threads(team);
    for (; piece->helped < threads; piece->helped++) {
        const int owner = (thread + piece->helped) % threads;
        const long begin = total * owner / threads, end = total * (owner + 1) / threads;
        piece->first = begin + __atomic_fetch_add(&team->chunks[owner].done, size, __ATOMIC_RELAXED);
        piece->end = piece->first + size < end ? piece->first + size : end;
        if (piece->first < end)
            return 1;
    }
    return 0;
}

/* Until all threads have arrived here. */
static void barrier(struct Team *team) {
    const long stage = __atomic_load_n(&team->stage, __ATOMIC_RELAXED);
    const int threads = count_threads(team);
    if (__atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
        for (int thread = 0; thread < threads; thread++)
            team->chunks[thread].done = 0;
        team->arrived = 0;
        __atomic_store_n(&team->stage, stage + 1, __ATOMIC_RELEASE);
        return;
    }
    for (long spins = 0; __atomic_load_n(&team->stage, __ATOMIC_ACQUIRE) == stage; spins++)
        if (spins > SPINS)
            sched_yield();
#ifdef __x86_64__
        else
            __builtin_ia32_pause();
#endif
}
