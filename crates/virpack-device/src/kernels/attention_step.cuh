// The inner loop of attention.cu: scores, online softmax and sums of a warp's tiles, all in registers.

#define HALF (WIDTH / 2)
// Values of each half that a thread rotates at once.
#define ROTATED (HALF % 8 == 0 ? 8 : 4)
// The launcher defines the keys of one CHUNK of a long sequence.
// Rows of a warp.
#define ROWS (16 * TILES)

// The state of a tile of 16 rows in a warp.
struct Tile {
    u32 query[DEPTH / 16][4];
    float sums[DEPTH / 8][4];
    float highest[2], total[2];
};

// One softmax round: `count` (at most STEP) keys at `keys` and `values`, numbered from `first_key`; `row` is
// the lane's first row of the first tile.
__device__ __forceinline__ void attend_step(Tile (&tiles)[TILES], const T *keys, const T *values, int count,
                                            int first_key, int row, float scale, float slope) {
    int lane = threadIdx.x & 31, swizzled_by = swizzle(lane & 7);
    float scores[TILES][STEP / 8][4];
#pragma unroll
    for (int g = 0; g < STEP / 16; g++) {
#pragma unroll
        for (int m = 0; m < TILES; m++)
#pragma unroll
            for (int i = 0; i < 4; i++) scores[m][2 * g][i] = scores[m][2 * g + 1][i] = 0.0f;
        if (g * 16 < count) {
            const T *at = keys + (g * 16 + (lane >> 4) * 8 + (lane & 7)) * DEPTH;
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++) {
                u32 b[4];
                load_matrices(b, at + ((2 * k + ((lane >> 3) & 1)) ^ swizzled_by) * 8);
#pragma unroll
                for (int m = 0; m < TILES; m++) {
                    mma(scores[m][2 * g], tiles[m].query[k], b[0], b[1]);
                    mma(scores[m][2 * g + 1], tiles[m].query[k], b[2], b[3]);
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < TILES; m++) {
        float rescale[2];
        softmax_weights(scores[m], tiles[m].highest, tiles[m].total, rescale, count, first_key, row + m * 16,
                        scale, slope);
#pragma unroll
        for (int n = 0; n < DEPTH / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) tiles[m].sums[n][i] *= rescale[i / 2];
    }
#pragma unroll
    for (int g = 0; g < STEP / 16; g++) {
        if (g * 16 < count) {
            u32 weights[TILES][4];
#pragma unroll
            for (int m = 0; m < TILES; m++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    weights[m][i] =
                        pack(scores[m][2 * g + i / 2][i % 2 * 2], scores[m][2 * g + i / 2][i % 2 * 2 + 1]);
            const T *at = values + (g * 16 + (lane & 15)) * DEPTH;
#pragma unroll
            for (int n = 0; n < DEPTH / 16; n++) {
                u32 b[4];
                load_matrices_transposed(b, at + ((2 * n + (lane >> 4)) ^ swizzled_by) * 8);
#pragma unroll
                for (int m = 0; m < TILES; m++) {
                    mma(tiles[m].sums[2 * n], weights[m], b[0], b[1]);
                    mma(tiles[m].sums[2 * n + 1], weights[m], b[2], b[3]);
                }
            }
        }
    }
}
