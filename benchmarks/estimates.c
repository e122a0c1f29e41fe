/* AdamW in float32 with the processor's roots and divisions, with estimates of them, and with neither: see estimates.py.
 *
 * An estimate is what a table of the processor says, or what comes of taking the bits of a number for its logarithm,
 * and is made better by Newton's method. */
#include <immintrin.h>
#include <stdint.h>

#ifdef __AVX512F__
#define PACK 16
#define ROOT _mm512_sqrt_ps
#define TABLE_RECIPROCAL _mm512_rcp14_ps
#define TABLE_ROOT _mm512_rsqrt14_ps
#else
#define PACK 8
#define ROOT _mm256_sqrt_ps
#define TABLE_RECIPROCAL _mm256_rcp_ps
#define TABLE_ROOT _mm256_rsqrt_ps
#endif
typedef float pack __attribute__((vector_size(4 * PACK), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(4 * PACK), aligned(4), may_alias));

/* What is no number comes of an estimate that is infinite, as it should be, and stays. */
static inline pack better_reciprocal(pack b, pack r) {
    pack rest = 1 - b * r;
    return r + r * (pack)((bits)rest & (rest == rest));
}
static inline pack better_root(pack x, pack y) { return y * (1.5f - 0.5f * x * (y * y)); }

static inline pack root_by_table(pack x) { return (pack)((bits)(x * better_root(x, TABLE_ROOT(x))) & (x != 0)); }
static inline pack reciprocal_by_table(pack b) { return better_reciprocal(b, TABLE_RECIPROCAL(b)); }

static inline pack root_by_bits(pack x) {
    pack y = (pack)(0x5f3759df - ((bits)x >> 1));
    for (int k = 0; k < 3; k++) y = better_root(x, y);
    return x * y;
}
static inline pack reciprocal_by_bits(pack b) {
    pack r = (pack)(0x7ef311c7 - (bits)b);
    for (int k = 0; k < 3; k++) r = better_reciprocal(b, r);
    return r;
}

#define DIVIDED(a, b) ((a) / (b))
#define BY_TABLE(a, b) ((a) * reciprocal_by_table(b))
#define BY_BITS(a, b) ((a) * reciprocal_by_bits(b))
#define MULTIPLIED(a, b) ((a) * (b))
#define AS_IT_IS(x) (x)

#define KERNEL(name, root, quotient)                                                                  \
    void name(float *theta, const float *g, float *m, float *v, int64_t size) {                       \
        for (int64_t k = 0; k < size; k += PACK) {                                                    \
            pack grad = *(const pack *)(g + k), mean = *(pack *)(m + k), square = *(pack *)(v + k);   \
            mean = 0.9f * mean + (1e-9f * mean + 0.1f * grad);                                        \
            square = 0.999f * square + (1e-9f * square + 0.001f * (grad * grad));                     \
            *(pack *)(m + k) = mean, *(pack *)(v + k) = square;                                       \
            *(pack *)(theta + k) = 0.9999f * *(pack *)(theta + k)                                     \
                + quotient(-1e-3f * (1.01f * mean), root(1.02f * square) + 1e-8f);                    \
        }                                                                                             \
    }
KERNEL(exact, ROOT, DIVIDED)
KERNEL(divisions_by_table, ROOT, BY_TABLE)
KERNEL(both_by_table, root_by_table, BY_TABLE)
KERNEL(divisions_by_bits, ROOT, BY_BITS)
KERNEL(both_by_bits, root_by_bits, BY_BITS)
KERNEL(neither, AS_IT_IS, MULTIPLIED)

#define OF_ALL(name, made)                                                                            \
    void name(const float *x, float *found, int64_t size) {                                           \
        for (int64_t k = 0; k < size; k += PACK) {                                                    \
            pack its = *(const pack *)(x + k);                                                        \
            *(pack *)(found + k) = made(its);                                                         \
        }                                                                                             \
    }
OF_ALL(roots_by_table, root_by_table)
OF_ALL(roots_by_bits, root_by_bits)
OF_ALL(reciprocals_by_table, reciprocal_by_table)
OF_ALL(reciprocals_by_bits, reciprocal_by_bits)
