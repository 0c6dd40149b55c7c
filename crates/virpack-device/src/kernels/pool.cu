// One row a sequence: mean, max or the first token's, in float32, and whether every value in it is finite.
//
// Shapes: x [tokens, hidden]; out [n, hidden] float32; broken [n], set to 1 where a value of the row is NaN
// or infinite. Idea: block (sequence, columns), a thread a column, rows read in order (coalesced across
// threads), four in flight. Limits: a sequence longer than skip_first + skip_last (the launcher checks).

// kind: POOL_MEAN, POOL_MAX or POOL_CLS, which the launcher defines.
extern "C" __global__ void pool(const T *x, const int *cu_seqlens, int hidden, int kind, int skip_first,
                                int skip_last, float *out, u32 *broken) {
    int column = blockIdx.y * blockDim.x + threadIdx.x;
    if (column >= hidden) return;
    Span s = span_of(cu_seqlens, blockIdx.x);
    const T *at = x + (u64)s.start * hidden + column;
    float value;
    if (kind == POOL_CLS) {
        value = to_float(at[0]);
    } else {
        int rows = s.length - skip_first - skip_last;
        at += (u64)skip_first * hidden;
        if (kind == POOL_MEAN) {
            float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            int row = 0;
            for (; row + 4 <= rows; row += 4, at += (u64)4 * hidden) {
#pragma unroll
                for (int i = 0; i < 4; i++) sums[i] += to_float(at[(u64)i * hidden]);
            }
            for (; row < rows; row++, at += hidden) sums[0] += to_float(at[0]);
            value = ((sums[0] + sums[1]) + (sums[2] + sums[3])) / (float)rows;
        } else {
            value = to_float(at[0]);
            for (int row = 1; row < rows; row++) {
                at += hidden;
                float v = to_float(at[0]);
                // Written so that NaN stays NaN: what is broken must be seen.
                value = (v > value || v != v) ? v : value;
            }
        }
    }
    out[(u64)blockIdx.x * hidden + column] = value;
    // Infinite or NaN: all bits of the exponent set.
    if ((__float_as_int(value) & 0x7f800000) == 0x7f800000) broken[blockIdx.x] = 1;
}
