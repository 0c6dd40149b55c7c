// Shared by the attention kernels on the matrix units (attention.cu, attention_pairs.cu): the layout of rows
// of keys, values and queries in shared memory, and the online softmax of a tile of 16 rows in registers.

// The launcher defines the DEPTH of a row there: WIDTH up to a multiple of 16.
// 16-byte vectors of a row in memory, and of a row in shared memory.
#define VECTORS (WIDTH / 8)
#define SHARED_VECTORS (DEPTH / 8)

// Rows lie side by side without padding; their 16-byte vectors are swizzled by row, so that the 8 rows of an
// ldmatrix meet 8 different groups of banks.
__device__ __forceinline__ int swizzle(int row) {
    return (SHARED_VECTORS >= 8 ? row : row / (8 / SHARED_VECTORS)) &
           (SHARED_VECTORS >= 8 ? 7 : SHARED_VECTORS - 1);
}
__device__ __forceinline__ int swizzled(int row, int vector) {
    return row * DEPTH + (vector ^ swizzle(row)) * 8;
}

// Turns the scores of `count` (at most STEP) keys into softmax weights, in place; `row` is the lane's first
// row, keys are numbered from `first_key`. `rescale` returns the factor for the sums so far.
__device__ __forceinline__ void softmax_weights(float (&scores)[STEP / 8][4], float (&highest)[2],
                                                float (&total)[2], float (&rescale)[2], int count,
                                                int first_key, int row, float scale, float slope) {
    const int lane = threadIdx.x & 31;
#if ALIBI
#pragma unroll
    for (int n = 0; n < STEP / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int key = first_key + n * 8 + (lane & 3) * 2 + (i & 1);
            // In the units of the raw scores, as `scale` multiplies both.
            scores[n][i] -= slope * (float)abs(row + (i >> 1) * 8 - key);
        }
#endif
    if (count < STEP) {
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (n * 8 + (lane & 3) * 2 + (i & 1) >= count) scores[n][i] = NEGATIVE_INFINITY;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float top = highest[half];
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
            top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(FULL, top, 1));
        top = fmaxf(top, __shfl_xor_sync(FULL, top, 2));
        rescale[half] = exp2_fast((highest[half] - top) * scale);
        float shift = top * scale, sum = 0.0f;
        highest[half] = top;
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
#if FLOAT32
                // Subtracted before it is scaled: `shift` would be off by a digit of large scores.
                float w = exp2_fast((scores[n][2 * half + i] - top) * scale);
#else
                float w = exp2_fast(fmaf(scores[n][2 * half + i], scale, -shift));
#endif
                scores[n][2 * half + i] = w;
                sum += w;
            }
        total[half] = total[half] * rescale[half] + sum;
    }
}
