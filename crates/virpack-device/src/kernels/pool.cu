// One row a sequence: mean, max, both, or the first token's, in float32, and whether every value in it is
// finite.
//
// Shapes: x [tokens, hidden]; out [n, hidden] float32, [n, 2 hidden] of mean and max; broken [n], set to 1
// where a value of the row is NaN or infinite. Idea: block (sequence, columns), a thread a column, rows read
// in order (coalesced across threads), 16 of them in flight, because a long sequence is one thread's work.
// Limits: a sequence longer than skip_first + skip_last (the launcher checks).

// One value of a pooled row. Infinite or NaN: all bits of the exponent set.
__device__ __forceinline__ void give(float value, float *out, u32 *broken) {
    *out = value;
    if ((__float_as_int(value) & 0x7f800000) == 0x7f800000) *broken = 1;
}

// Adds rows while there are COUNT of them or more, all of which are read before the first is added. The sums
// take turns.
template <int COUNT>
__device__ __forceinline__ void add_rows(float (&sums)[4], const T *&at, int &rows, int hidden) {
    for (; rows >= COUNT; rows -= COUNT, at += (u64)COUNT * hidden) {
        T values[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; i++) values[i] = at[(u64)i * hidden];
#pragma unroll
        for (int i = 0; i < COUNT; i++) sums[i % 4] += to_float(values[i]);
    }
}

__device__ __forceinline__ float mean_of(const T *at, int rows, int hidden) {
    float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    const float count = rows;
    add_rows<16>(sums, at, rows, hidden);
    add_rows<4>(sums, at, rows, hidden);
    for (; rows; rows--, at += hidden) sums[0] += to_float(at[0]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) / count;
}

__device__ __forceinline__ float max_of(const T *at, int rows, int hidden) {
    float value = to_float(at[0]);
    for (int row = 1; row < rows; row++) {
        at += hidden;
        float v = to_float(at[0]);
        // Written so that NaN stays NaN: broken values must be visible.
        value = (v > value || v != v) ? v : value;
    }
    return value;
}

// kind: POOL_MEAN, POOL_MAX, POOL_CLS or POOL_MEAN_MAX, which the launcher defines.
extern "C" __global__ void pool(const T *x, const int *cu_seqlens, int hidden, int kind, int skip_first,
                                int skip_last, float *out, u32 *broken) {
    int column = blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= hidden) return;
    Span s = span_of(cu_seqlens, blockIdx.x);
    const T *first = x + (u64)s.start * hidden + column;
    const T *at = first + (u64)skip_first * hidden;
    int rows = s.length - skip_first - skip_last;
    u32 *flag = broken + blockIdx.x;
    bool both = kind == POOL_MEAN_MAX;
    float *to = out + (u64)blockIdx.x * (both ? 2 * hidden : hidden) + column;
    if (kind == POOL_CLS) give(to_float(first[0]), to, flag);
    if (kind == POOL_MEAN || both) give(mean_of(at, rows, hidden), to, flag);
    if (kind == POOL_MAX || both) give(max_of(at, rows, hidden), both ? to + hidden : to, flag);
}
