/* Products of a few rows in every number format against sums in double precision, as a program: it runs where there is
 * no Python, such as under an emulator of another processor. Exits with 1 if something is wrong. */
#include "kernels.c"
#include <stdio.h>

#define OUTPUTS 35

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

int main(void) {
    static const long widths[] = {2, 30, 64, 112, 210, 1088}, counts[] = {1, 2, 3, 8, 13};
    int wrong = 0;
    for (enum Kind kind = FLOAT32; kind <= INT4; kind++)
        for (int i = 0; i < 6; i++)
            for (int j = 0; j < 5; j++)
                for (int narrowed = 0; narrowed < 2; narrowed++) {
                    const int found = check_rows(kind, widths[i], counts[j], narrowed);
                    if (found)
                        printf("kind %d, %ld inputs, %ld rows, %d: %d wrong\n", kind, widths[i], counts[j], narrowed, found);
                    wrong += found;
                }
    printf("%d wrong\n", wrong);
    return wrong ? 1 : 0;
}
