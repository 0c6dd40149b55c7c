// Varlen attention with the accuracy of float32 on the matrix units, of pairs of float16 (pairs.cuh;
// -DDTYPE=1, as the halves are float16). Queries and keys are rotated already.
//
// Shapes: qkv [tokens, 3 hidden] as pairs (queries, keys, values), slopes [heads] (with -DALIBI=1), out
// [tokens, hidden] as pairs. Compiled for one head width (-DWIDTH). Idea: FlashAttention-2 (Dao 2023) with
// three products for one, as in product_pairs.cu: a warp has 16 rows of one head, a block four warps; keys
// and values come in steps of STEP, the next ones copied while one is worked on. A step's sums are added to
// the whole by ordinary instructions, as the matrix units round towards zero. Block (item, head and 64 of the
// item's rows). mma.sync m16n8k16, so sm_80 and up. Limits: WIDTH 16, 24 (padded to 32 with zeros), 32, 64 or
// 128.

#define WARPS (THREADS / 32)
#define STAGES 2
// Values of a step's keys, and of anything that is laid out like them.
#define MATRIX (STEP * DEPTH)

// The work of a block.
struct Block {
    const T *keys;  // the highs of the head's keys in the sequence's first row
    T *stages;      // [STAGES][keys' highs and lows, values' highs and lows][STEP][DEPTH]
    int hidden, length;
};

// Starts to copy a step's keys and values, up to the next multiple of 16.
__device__ __forceinline__ void load_stage_async(const Block &b, int chunk) {
    const int first = chunk * STEP, count = min(STEP, b.length - first), padded = (count + 15) & ~15;
    T *stage = b.stages + chunk % STAGES * 4 * MATRIX;
    for (int i = threadIdx.x; i < 4 * STEP * VECTORS; i += THREADS) {
        const int vector = i % VECTORS, r = i / VECTORS % STEP, matrix = i / (VECTORS * STEP);
        if (r >= padded) continue;
        // Keys and values, then highs and lows three tensors apart.
        const T *from = b.keys + (u64)(first + min(r, count - 1)) * 6 * b.hidden +
                        (matrix / 2 + matrix % 2 * 3) * b.hidden;
        copy_async(stage + matrix * MATRIX + swizzled(r, vector), from + vector * 8, r < count);
    }
    commit_copies();
}

// Two neighbours of a query's row, or zeros past its width.
__device__ __forceinline__ u32 load_query(const T *row, int column) {
    return column < WIDTH ? *(const u32 *)(row + column) : 0;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    attention_pairs(const T *qkv, const Item *items, const float *slopes, T *out, int heads, int groups,
                    float scale) {
    extern __shared__ __align__(128) T memory[];
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32, head = blockIdx.y / groups;
    const Item item = items[blockIdx.x];
    const int begin = blockIdx.y % groups * WARPS * 16;
    if (begin >= item.rows) return;
    Block b;
    b.hidden = heads * WIDTH;
    b.length = item.length;
    const T *sequence = qkv + (u64)item.start * 6 * b.hidden + head * WIDTH;
    b.keys = sequence + b.hidden;
    b.stages = memory;
    if (DEPTH != WIDTH) {
        // The padding columns of keys and values stay zero from here on.
        for (int i = threadIdx.x; i < STAGES * 4 * STEP; i += THREADS)
            *(uint4 *)(memory + i / STEP * MATRIX + swizzled(i % STEP, SHARED_VECTORS - 1)) =
                make_uint4(0, 0, 0, 0);
    }
    const int chunks = (item.length + STEP - 1) / STEP;
    load_stage_async(b, 0);
    const int row = item.row + begin + warp * 16, present = min(16, item.row + item.rows - row);
    u32 query[2][DEPTH / 16][4];
    float sums[DEPTH / 8][4], highest[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, total[2] = {0.0f, 0.0f};
#pragma unroll
    for (int low = 0; low < 2; low++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            // Rows past the end repeat the last one, and are never stored.
            const int own = max(min(lane / 4 + i % 2 * 8, present - 1), 0);
            const T *from =
                sequence + (u64)min(row + own, item.length - 1) * 6 * b.hidden + low * 3 * b.hidden;
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++)
                query[low][k][i] = load_query(from, k * 16 + i / 2 * 8 + (lane & 3) * 2);
        }
    }
#pragma unroll
    for (int n = 0; n < DEPTH / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) sums[n][i] = 0.0f;
    const float slope = ALIBI ? slopes[head] * LOG2_E / scale : 0.0f;
    const int swizzled_by = swizzle(lane & 7);
    for (int chunk = 0; chunk < chunks; chunk++) {
        if (chunk + 1 < chunks) load_stage_async(b, chunk + 1);
        else commit_copies();
        wait_copies<1>();
        __syncthreads();
        const int first = chunk * STEP, count = min(STEP, item.length - first);
        const T *keys = b.stages + chunk % STAGES * 4 * MATRIX, *values = keys + 2 * MATRIX;
        if (present > 0) {
            float scores[STEP / 8][4], rescale[2];
#pragma unroll
            for (int g = 0; g < STEP / 16; g++) {
                float mixed[2][4];
#pragma unroll
                for (int i = 0; i < 4; i++)
                    scores[2 * g][i] = scores[2 * g + 1][i] = mixed[0][i] = mixed[1][i] = 0.0f;
                if (g * 16 < count) {
                    const T *at = keys + (g * 16 + (lane >> 4) * 8 + (lane & 7)) * DEPTH;
#pragma unroll
                    for (int k = 0; k < DEPTH / 16; k++) {
                        u32 high[4], low[4];
                        const int vector = ((2 * k + ((lane >> 3) & 1)) ^ swizzled_by) * 8;
                        load_matrices(high, at + vector);
                        load_matrices(low, at + MATRIX + vector);
#pragma unroll
                        for (int i = 0; i < 2; i++) {
                            mma(scores[2 * g + i], query[0][k], high[2 * i], high[2 * i + 1]);
                            mma(mixed[i], query[0][k], low[2 * i], low[2 * i + 1]);
                            mma(mixed[i], query[1][k], high[2 * i], high[2 * i + 1]);
                        }
                    }
                }
#pragma unroll
                for (int i = 0; i < 8; i++)
                    scores[2 * g + i / 4][i % 4] =
                        fmaf(mixed[i / 4][i % 4], 1.0f / LOW_SCALE, scores[2 * g + i / 4][i % 4]);
            }
            softmax_weights(scores, highest, total, rescale, count, first, row + lane / 4, scale, slope);
            Pairs weights[STEP / 16][4];
#pragma unroll
            for (int g = 0; g < STEP / 16; g++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    weights[g][i] =
                        to_pairs(scores[2 * g + i / 2][i % 2 * 2], scores[2 * g + i / 2][i % 2 * 2 + 1]);
#pragma unroll
            for (int n = 0; n < DEPTH / 16; n++) {
                float own[2][4], mixed[2][4];
#pragma unroll
                for (int i = 0; i < 8; i++) own[i / 4][i % 4] = mixed[i / 4][i % 4] = 0.0f;
#pragma unroll
                for (int g = 0; g < STEP / 16; g++) {
                    if (g * 16 < count) {
                        const u32 highs[4] = {weights[g][0].high, weights[g][1].high, weights[g][2].high,
                                              weights[g][3].high};
                        const u32 lows[4] = {weights[g][0].low, weights[g][1].low, weights[g][2].low,
                                             weights[g][3].low};
                        u32 high[4], low[4];
                        const T *at = values + (g * 16 + (lane & 15)) * DEPTH +
                                      ((2 * n + (lane >> 4)) ^ swizzled_by) * 8;
                        load_matrices_transposed(high, at);
                        load_matrices_transposed(low, at + MATRIX);
#pragma unroll
                        for (int i = 0; i < 2; i++) {
                            mma(own[i], highs, high[2 * i], high[2 * i + 1]);
                            mma(mixed[i], highs, low[2 * i], low[2 * i + 1]);
                            mma(mixed[i], lows, high[2 * i], high[2 * i + 1]);
                        }
                    }
                }
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    float &sum = sums[2 * n + i / 4][i % 4];
                    sum = fmaf(sum, rescale[i % 4 / 2],
                               fmaf(mixed[i / 4][i % 4], 1.0f / LOW_SCALE, own[i / 4][i % 4]));
                }
            }
        }
        // The stage is free for the step after the next.
        __syncthreads();
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float all = total[half];
        all += __shfl_xor_sync(FULL, all, 1);
        all += __shfl_xor_sync(FULL, all, 2);
        const float share = 1.0f / all;
        const int r = lane / 4 + 8 * half;
        if (r < present) {
            T *to = out + (u64)(item.start + row + r) * 2 * b.hidden + head * WIDTH + (lane & 3) * 2;
#pragma unroll
            for (int n = 0; n < WIDTH / 8; n++) {
                Pairs pairs = to_pairs(sums[n][2 * half] * share, sums[n][2 * half + 1] * share);
                *(u32 *)(to + n * 8) = pairs.high, *(u32 *)(to + b.hidden + n * 8) = pairs.low;
            }
        }
    }
}
