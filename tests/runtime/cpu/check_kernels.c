/* Products of a few rows in every number format, steps of small decoders with both kinds of attention, and where tiles are emulated a dense layer and
 * attention, against sums in double precision, as a program: it runs where there is no Python, such as under an emulator
 * of another processor. Exits with 1 if something is wrong. */
#include "kernels.c"
#include <stdio.h>

#define OUTPUTS 7 /* a block and a part of one */

static uint32_t state = 1;

static uint32_t draw(void) {
    return state = state * 1664525 + 1013904223;
}

static float draw_number(void) {
    return (draw() >> 8) / 8388608.f - 1;
}

/* What weight `at` of row `row` means. */
static double find_weight(const struct Matrix *matrix, long row, long at) {
    const char *from = matrix->weights + bytes_of(matrix->kind, row * matrix->inputs);
    if (matrix->kind != INT4)
        return (double)widen_one(from + at * SIZES[matrix->kind], matrix->kind) * weight_scale(matrix, 0, row);
    const long unit = at / 64 * 64, rest = matrix->inputs - unit, half = rest < 64 ? rest / 2 : 32, place = at - unit;
    const uint8_t byte = from[unit / 2 + place % half];
    const uint8_t code = ((const uint8_t *)matrix->scales)[row * ((matrix->inputs + 31) / 32) + at / 32];
    return ((place < half ? byte % 16 : byte / 16) - 8) * ldexp(1 + code % 8 / 8., code / 8 - 24);
}

static int is_near(double found, double expected, double size, double tolerance) {
    return fabs(found - expected) <= tolerance * size;
}

static struct Matrix draw_matrix(enum Kind kind, long inputs, char *weights, void *scales) {
    for (long i = 0; i < OUTPUTS * inputs; i++)
        if (kind == FLOAT32)
            ((float *)weights)[i] = draw_number();
        else if (kind == BFLOAT16)
            ((uint16_t *)weights)[i] = narrow(draw_number());
        else
            weights[i] = draw() >> 24;
    for (long i = 0; i < OUTPUTS; i++)
        if (kind == INT8)
            ((float *)scales)[i] = 0.01f + i;
    for (long i = 0; i < OUTPUTS * count_groups(inputs); i++)
        if (kind == INT4)
            ((uint8_t *)scales)[i] = 120 + draw() % 64;
    return (struct Matrix){weights, kind == INT8 || kind == INT4 ? scales : NULL, OUTPUTS * inputs, OUTPUTS, inputs, kind};
}

static int check_rows(enum Kind kind, long inputs, long count, int narrowed) {
    char *weights = malloc(4 * OUTPUTS * inputs);
    void *scales = malloc(4 * OUTPUTS * (count_groups(inputs) + 1));
    const struct Matrix matrix = draw_matrix(kind, inputs, weights, scales);
    float *wide = malloc(4 * count * inputs), *out = malloc(4 * count * OUTPUTS);
    uint16_t *halves = malloc(2 * count * inputs);
    for (long i = 0; i < count * inputs; i++) {
        halves[i] = narrow(draw_number());
        wide[i] = narrowed ? widen_one((char *)(halves + i), BFLOAT16) : draw_number();
    }
    multiply_rows(&matrix, 1, wide, narrowed ? halves : NULL, NULL, count, 1, out, 2);
    int wrong = 0;
    for (long row = 0; row < count; row++)
        for (long output = 0; output < OUTPUTS; output++) {
            double expected = 0, size = 0;
            for (long at = 0; at < inputs; at++) {
                const double product = find_weight(&matrix, output, at) * wide[row * inputs + at];
                expected += product;
                size += fabs(product);
            }
            wrong += !is_near(out[row * OUTPUTS + output], expected, size, narrowed ? 1e-4 : 1e-6);
        }
    free(weights), free(scales), free(wide), free(out), free(halves);
    return wrong;
}

/* -- a step ------------------------------------------------------------------------------------------------------ */

enum { WIDTH = 24, HEADS = 4, GROUPS = 2, HEAD = 8, INNER = 20, EXPERTS = 5, ACTIVE = 2, CAPACITY = 40, BATCH = 3,
       NOPE = 6, VALUE = 5, RANK = 20 };

static float *draw_numbers(long count) {
    float *numbers = malloc(count * sizeof *numbers);
    for (long i = 0; i < count; i++)
        numbers[i] = draw_number();
    return numbers;
}

static struct Matrix draw_wide(long matrices, long outputs, long inputs) {
    return (struct Matrix){(char *)draw_numbers(matrices * outputs * inputs), NULL, outputs * inputs, outputs, inputs,
                           FLOAT32};
}

static void multiply_plainly(const struct Matrix *matrix, long which, const double *from, double *to) {
    const float *weights = (const float *)matrix->weights + which * matrix->stride;
    for (long output = 0; output < matrix->outputs; output++) {
        to[output] = 0;
        for (long at = 0; at < matrix->inputs; at++)
            to[output] += weights[output * matrix->inputs + at] * from[at];
    }
}

static void normalise_plainly(const double *from, const char *norm, long width, double *to) {
    double squares = 0;
    for (long i = 0; i < width; i++)
        squares += from[i] * from[i];
    for (long i = 0; i < width; i++)
        to[i] = from[i] / sqrt(squares / width + 1e-6) * ((const float *)norm)[i];
}

static void rotate_plainly(double *head, double position, const float *frequencies) {
    for (long i = 0; i < HEAD / 2; i++) {
        const double first = head[i], second = head[HEAD / 2 + i], angle = position * frequencies[i];
        head[i] = first * cos(angle) - second * sin(angle);
        head[HEAD / 2 + i] = second * cos(angle) + first * sin(angle);
    }
}

/* hidden += weight * what an expert makes of `from`. */
static void add_expert(const struct Matrix *gate_up, const struct Matrix *down, long which, const double *from,
                       double weight, double *hidden) {
    double both[2 * INNER], inner[INNER], made[WIDTH];
    multiply_plainly(gate_up, which, from, both);
    for (long i = 0; i < INNER; i++)
        inner[i] = both[i] / (1 + exp(-both[i])) * both[INNER + i];
    multiply_plainly(down, which, inner, made);
    for (long i = 0; i < WIDTH; i++)
        hidden[i] += weight * made[i];
}

static void feed_plainly(const struct Layer *layer, const double *from, double *hidden) {
    double logits[EXPERTS], total = 0;
    multiply_plainly(&layer->router, 0, from, logits);
    for (long i = 0; i < EXPERTS; i++)
        total += exp(logits[i]);
    for (long i = 0; i < EXPERTS; i++) {
        long better = 0;
        for (long other = 0; other < EXPERTS; other++)
            better += logits[other] > logits[i];
        if (better < ACTIVE)
            add_expert(&layer->gate_up, &layer->down, i, from, exp(logits[i]) / total, hidden);
    }
    add_expert(&layer->shared_gate_up, &layer->shared_down, 0, from, 1, hidden);
}

/* `keys` and `values` [GROUPS, CAPACITY, HEAD] hold `position` tokens. */
static void attend_plainly(const struct Layer *layer, const float *frequencies, const float *keys, const float *values,
                           long position, const double *from, double *hidden) {
    double query[HEADS * HEAD], key[GROUPS * HEAD], value[GROUPS * HEAD], context[HEADS * HEAD] = {}, made[WIDTH];
    multiply_plainly(&layer->query, 0, from, query);
    multiply_plainly(&layer->key, 0, from, key);
    multiply_plainly(&layer->value, 0, from, value);
    for (long group = 0; group < GROUPS; group++)
        rotate_plainly(key + group * HEAD, position, frequencies);
    for (long head = 0; head < HEADS; head++) {
        const long group = head / (HEADS / GROUPS);
        double total = 0;
        rotate_plainly(query + head * HEAD, position, frequencies);
        for (long token = 0; token <= position; token++) {
            double score = 0;
            const long place = (group * CAPACITY + token) * HEAD;
            for (long i = 0; i < HEAD; i++)
                score += query[head * HEAD + i] * (token < position ? keys[place + i] : key[group * HEAD + i]);
            total += score = exp(score * 0.3);
            for (long i = 0; i < HEAD; i++)
                context[head * HEAD + i] += score * (token < position ? values[place + i] : value[group * HEAD + i]);
        }
        for (long i = 0; i < HEAD; i++)
            context[head * HEAD + i] /= total;
    }
    multiply_plainly(&layer->out, 0, context, made);
    for (long i = 0; i < WIDTH; i++)
        hidden[i] += made[i];
}

/* Neighbours are turned against each other, and first members go before second ones. */
static void rotate_pairs_plainly(const double *from, double position, const float *frequencies, double *to) {
    for (long i = 0; i < HEAD / 2; i++) {
        const double first = from[2 * i], second = from[2 * i + 1], angle = position * frequencies[i];
        to[i] = first * cos(angle) - second * sin(angle);
        to[HEAD / 2 + i] = second * cos(angle) + first * sin(angle);
    }
}

/* `latents` [CAPACITY, RANK] and `ropes` [CAPACITY, HEAD] hold `position` tokens; every head's keys and values are made
 * of them. */
static void attend_latents_plainly(const struct Layer *layer, const float *frequencies, const float *latents,
                                   const float *ropes, long position, const double *from, double *hidden) {
    double query[HEADS * (NOPE + HEAD)], fresh[RANK + HEAD], made[WIDTH], context[HEADS * VALUE] = {}, totals[HEADS] = {};
    double turned[HEADS][HEAD], latent[RANK], rope[HEAD], expanded[HEADS * (NOPE + VALUE)];
    multiply_plainly(&layer->query, 0, from, query);
    multiply_plainly(&layer->latent, 0, from, fresh);
    for (long head = 0; head < HEADS; head++)
        rotate_pairs_plainly(query + head * (NOPE + HEAD) + NOPE, position, frequencies, turned[head]);
    for (long token = 0; token <= position; token++) {
        for (long i = 0; i < RANK; i++)
            latent[i] = latents[token * RANK + i];
        for (long i = 0; i < HEAD; i++)
            rope[i] = ropes[token * HEAD + i];
        if (token == position) {
            normalise_plainly(fresh, layer->latent_norm, RANK, latent);
            rotate_pairs_plainly(fresh + RANK, position, frequencies, rope);
        }
        multiply_plainly(&layer->expand, 0, latent, expanded);
        for (long head = 0; head < HEADS; head++) {
            const double *key = expanded + head * (NOPE + VALUE);
            double score = 0;
            for (long i = 0; i < NOPE; i++)
                score += query[head * (NOPE + HEAD) + i] * key[i];
            for (long i = 0; i < HEAD; i++)
                score += turned[head][i] * rope[i];
            totals[head] += score = exp(score * 0.3);
            for (long i = 0; i < VALUE; i++)
                context[head * VALUE + i] += score * key[NOPE + i];
        }
    }
    for (long i = 0; i < HEADS * VALUE; i++)
        context[i] /= totals[i / VALUE];
    multiply_plainly(&layer->out, 0, context, made);
    for (long i = 0; i < WIDTH; i++)
        hidden[i] += made[i];
}

static int check_step(int latent) {
    const long value = latent ? VALUE : HEAD, groups = latent ? 1 : GROUPS;
    struct Layer layer = {
        .attention_norm = (char *)draw_numbers(WIDTH), .mlp_norm = (char *)draw_numbers(WIDTH),
        .out = draw_wide(1, WIDTH, HEADS * value), .router = draw_wide(1, EXPERTS, WIDTH),
        .gate_up = draw_wide(EXPERTS, 2 * INNER, WIDTH), .down = draw_wide(EXPERTS, WIDTH, INNER),
        .shared_gate_up = draw_wide(1, 2 * INNER, WIDTH), .shared_down = draw_wide(1, WIDTH, INNER),
    };
    if (latent) {
        layer.query = draw_wide(1, HEADS * (NOPE + HEAD), WIDTH);
        layer.latent = draw_wide(1, RANK + HEAD, WIDTH);
        layer.latent_norm = (char *)draw_numbers(RANK);
        layer.expand = draw_wide(1, HEADS * (NOPE + VALUE), RANK);
    } else {
        layer.query = draw_wide(1, HEADS * HEAD, WIDTH);
        layer.key = draw_wide(1, GROUPS * HEAD, WIDTH);
        layer.value = draw_wide(1, GROUPS * HEAD, WIDTH);
    }
    const struct Decoder decoder = {
        FLOAT32, .layers = 1, .width = WIDTH, .heads = HEADS, .groups = groups, .rank = latent ? RANK : 0,
        .nope = latent ? NOPE : 0, .rope = HEAD, .value = value, .active = ACTIVE,
        .norm = (char *)draw_numbers(WIDTH), .frequencies = draw_numbers(HEAD / 2), .eps = 1e-6f, .scale = 0.3f,
        .scaling = 1,
    };
    const int64_t positions[BATCH] = {0, 5, CAPACITY - 1}, capacities[BATCH] = {CAPACITY, CAPACITY, CAPACITY};
    float *buffers[2 * BATCH], *embeds = draw_numbers(BATCH * WIDTH), out[BATCH * WIDTH];
    double expected[BATCH][WIDTH];
    for (long i = 0; i < 2 * BATCH; i++)
        buffers[i] = draw_numbers(CAPACITY * (RANK + GROUPS * HEAD));
    for (long row = 0; row < BATCH; row++) {
        double hidden[WIDTH], normal[WIDTH];
        for (long i = 0; i < WIDTH; i++)
            hidden[i] = embeds[row * WIDTH + i];
        normalise_plainly(hidden, layer.attention_norm, WIDTH, normal);
        (latent ? attend_latents_plainly : attend_plainly)(&layer, decoder.frequencies, buffers[row],
                                                           buffers[BATCH + row], positions[row], normal, hidden);
        normalise_plainly(hidden, layer.mlp_norm, WIDTH, normal);
        feed_plainly(&layer, normal, hidden);
        normalise_plainly(hidden, decoder.norm, WIDTH, expected[row]);
    }
    decode(&decoder, &layer, BATCH, (char *)embeds, positions, (char *const *)buffers, capacities, (char *)out, 2);
    int wrong = 0;
    for (long i = 0; i < BATCH * WIDTH; i++)
        wrong += !is_near(out[i], expected[i / WIDTH][i % WIDTH], 1, 1e-4);
    return wrong;
}

/* -- tiles -------------------------------------------------------------------------------------------------------- */

static int check_tiles(void) {
    int wrong = 0;
#if HAS_TILES
    enum { TOKENS = 37, INPUTS = 70, OUT = 34, WIDE = 20 };
    uint16_t rows[TOKENS * INPUTS], weights[OUT * INPUTS], bias[OUT], out[TOKENS * OUT], context[TOKENS * WIDE];
    for (long i = 0; i < TOKENS * INPUTS; i++)
        rows[i] = narrow(draw_number());
    for (long i = 0; i < OUT * INPUTS; i++)
        weights[i] = narrow(draw_number());
    for (long i = 0; i < OUT; i++)
        bias[i] = narrow(draw_number());
#define AT(numbers, place) (double)widen_one((const char *)((numbers) + (place)), BFLOAT16)
    const struct Matrix matrix = {(char *)weights, NULL, OUT * INPUTS, OUT, INPUTS, BFLOAT16};
    tile_linear(rows, TOKENS, &matrix, bias, 0, out, 2);
    for (long place = 0; place < TOKENS * OUT; place++) {
        double expected = AT(bias, place % OUT);
        for (long at = 0; at < INPUTS; at++)
            expected += AT(rows, place / OUT * INPUTS + at) * AT(weights, place % OUT * INPUTS + at);
        wrong += !is_near(AT(out, place), expected, fabs(expected) + 1, 5e-3);
    }
    const struct Heads heads[3] = {{rows, 0, 0, INPUTS, WIDE}, {rows + WIDE, 0, 0, INPUTS, WIDE},
                                   {rows + 2 * WIDE, 0, 0, INPUTS, WIDE}};
    tile_attend(&heads[0], &heads[1], &heads[2], 1, 1, 1, TOKENS, TOKENS, 1, 0.5f, context, 2);
    for (long place = 0; place < TOKENS * WIDE; place++) {
        double total = 0, expected = 0;
        for (long token = 0; token <= place / WIDE; token++) {
            double score = 0;
            for (long at = 0; at < WIDE; at++)
                score += AT(rows, place / WIDE * INPUTS + at) * AT(rows, token * INPUTS + WIDE + at);
            total += score = exp(score / 2);
            expected += score * AT(rows, token * INPUTS + 2 * WIDE + place % WIDE);
        }
        wrong += !is_near(AT(context, place), expected / total, 1, 1e-2);
    }
#endif
    return wrong;
}

int main(void) {
    static const long widths[] = {2, 30, 64, 112, 210, 1088}, counts[] = {1, 2, 3, 8, 13};
    int wrong = 0;
    for (enum Kind kind = FLOAT32; kind <= INT4; kind++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 5; j++)
                for (int narrowed = 0; narrowed < 2 && (i < 5 || j % 4 == 0); narrowed++) { /* of long rows one and many */
                    const int found = check_rows(kind, widths[i], counts[j], narrowed);
                    if (found)
                        printf("kind %d, %ld inputs, %ld rows, %d: %d wrong\n", kind, widths[i], counts[j], narrowed, found);
                    wrong += found;
                }
    const int steps = check_step(0) + check_step(1), tiles = check_tiles();
    if (steps || tiles)
        printf("steps: %d wrong, tiles: %d wrong\n", steps, tiles);
    wrong += steps + tiles;
    printf("%d wrong\n", wrong);
    return wrong ? 1 : 0;
}
