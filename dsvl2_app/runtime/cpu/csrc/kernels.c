/* What a CPU needs, compiled: products of a few rows, a whole step of decode, and, in queries.h and groups.h, a prompt.
 * See library.py. */
#include "attention.h"
#include "experts.h"
#include "groups.h"
#include "queries.h"
#include "rows.h"
#include "tile_attention.h"
#include "tile_experts.h"
#include "tile_linear.h"

#if HAS_TILES
/* Whether this process may use tiles, asked once and before all else. */
int allow_tiles(void) {
    return request_tiles();
}
#endif

/* Pair p multiplies row p / pairs_per_row of `rows` with matrix experts[p] -> out [P, F]; without `experts` every row
 * meets matrix 0. */
void multiply_rows(const struct Matrix *matrix, long matrices, float *wide, uint16_t *halves, const int64_t *experts,
                   long pairs, long pairs_per_row, float *out, int threads) {
    const long count = pairs / pairs_per_row;
    struct Rows rows = {wide, HAS_PAIRS && count >= PAIRS_FROM ? halves : NULL, matrix->inputs, NULL};
    struct Split split;
    char *bytes = NULL;
    if (HAS_SPLIT && matrix->kind == INT4 && halves)
        split_rows(&rows, count, &split, bytes = malloc(split_bytes_of(count, rows.width)));
    long *starts = malloc((matrices + 1 + pairs) * sizeof *starts), *order = starts + matrices + 1;
    sort_pairs(experts, pairs, matrices, starts, order);
    const long blocks = count_blocks(matrix->outputs), size = piece_size(matrix);
    struct Team team = {.chunks = calloc(threads, sizeof(struct Chunk))};
#pragma omp parallel num_threads(threads)
    {
        const int thread = join(&team);
        float(*sums)[BLOCK] = malloc(pairs * sizeof *sums);
        for (struct Piece piece = {}; take(&team, thread, matrices * blocks, size, &piece);)
            for (long block = piece.first; block < piece.end; block++) {
                const long which = block / blocks, first = block % blocks * BLOCK, *group = order + starts[which];
                const long count = starts[which + 1] - starts[which];
                if (!count)
                    continue;
                const int height = multiply_block(matrix, which, first, rows, group, pairs_per_row, count, sums);
                for (long i = 0; i < count; i++)
                    memcpy(out + group[i] * matrix->outputs + first, sums[i], height * sizeof(float));
            }
        free(sums);
    }
    free(team.chunks);
    free(starts);
    free(bytes);
}

static void run_layer(struct Step *step, struct Scratch *scratch, const struct Layer *layer, char *const *buffers) {
    const struct Decoder *decoder = step->decoder;
    scratch->layer = layer;
    normalise(step, step->hidden, decoder->width, layer->attention_norm, decoder->width, &scratch->rows);
    (decoder->rank ? attend_latents : attend_heads)(step, scratch, buffers);
    project(step, scratch, step->context, (const struct Matrix *[]){&layer->out}, 1, step->hidden, decoder->width, 1);
    normalise(step, step->hidden, decoder->width, layer->mlp_norm, decoder->width, &scratch->rows);
    feed_forward(step, scratch);
}

/* One token of each of `batch` conversations: embeds [B, D] -> normalised hidden states [B, D]; its keys and values go
 * into the caches. `buffers` [layers, 2, B] are the caches' beginnings, which have room for `capacities` [B] tokens. */
void decode(const struct Decoder *decoder, const struct Layer *layers, long batch, const char *embeds,
            const int64_t *positions, char *const *buffers, const int64_t *capacities, char *out, int threads) {
    const enum Kind kind = decoder->kind;
    const long width = decoder->width, half = decoder->rope / 2;
    struct Step step = {decoder, layers, batch, .positions = positions, .capacities = capacities};
    struct Scratch scratches[threads];
    char *memory = malloc(lay_out(&step, scratches, threads, NULL));
    lay_out(&step, scratches, threads, memory);
    step.team.chunks = calloc(threads, sizeof(struct Chunk));
    for (long row = 0; row < batch; row++)
        for (long i = 0; i < half; i++) {
            const float angle = positions[row] * decoder->frequencies[i];
            step.cos[row * half + i] = cosf(angle);
            step.sin[row * half + i] = sinf(angle);
        }
    for (long i = 0; i < batch * width; i++)
        step.hidden[i] = widen_one(embeds + i * SIZES[kind], kind);
#pragma omp parallel num_threads(threads)
    {
        const int thread = join(&step.team);
        struct Scratch *scratch = scratches + thread;
        scratch->thread = thread;
        for (long row = 0; row < batch; row++)
            scratch->all[row] = row;
        for (long layer = 0; layer < decoder->layers; layer++)
            run_layer(&step, scratch, layers + layer, buffers + layer * 2 * batch);
    }
    normalise(&step, step.hidden, width, decoder->norm, width, &scratches->rows);
    for (long i = 0; i < batch * width; i++)
        store(out + i * SIZES[kind], kind, scratches->rows.wide[i]);
    free(step.team.chunks);
    free(memory);
}
