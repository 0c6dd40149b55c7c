// Varlen attention of sequences of any length on compute capability 9.0, 16-bit floats; positions are already turned.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values), slopes [heads] (with -DALIBI=1), out [tokens, hidden].
// Compiled for a head width (-DWIDTH; HEADS is 1), keys a step (-DSTEP), steps in memory (-DSTAGES) and blocks a
// processor (-DBLOCKS). Idea: FlashAttention-2 and -3 (Dao 2023, Shah et al. 2024): a warpgroup takes 64 rows of a head
// and runs through the keys and values STEP at a time, from a ring that is filled ahead; wgmma, online softmax in
// registers. Blocks on the same processor hide each other's waits: one is in a product while another is in a softmax.
// Sums are rescaled only when a row's largest score has grown by more than 2^8 since the last time (FlashAttention-4):
// until then weights are up to 256, as exact in every dtype as those up to 1.
// Limits: WIDTH 16, 32, 64 or 128; STEP a multiple of 64; sequences of less than 2^31 values of qkv.

#define THREADS 128
#define TILE (STEP * WIDTH)
#define LEEWAY 8.0f

// A block for each item, each of `groups` 64 rows of it (items may have fewer) and each head, in this order.
// Shared memory: STAGES times keys [PARTS][STEP][COLUMNS] and values the same, then 16 rows of queries a warp.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention(const T *qkv, const Item *items, const float *slopes, T *out, int heads, int groups, float scale) {
    extern __shared__ __align__(1024) T memory[];
    const int head = blockIdx.x % heads, group = blockIdx.x / heads % groups;
    const Item item = items[blockIdx.x / heads / groups];
    if (group * 64 >= item.rows) return;
    const int warp = threadIdx.x / 32, lane = threadIdx.x & 31, hidden = heads * WIDTH, pitch = 3 * hidden;
    const T *sequence = qkv + (u64)item.start * pitch + head * WIDTH;
    // Which 16 of the 64 rows a warp takes differs from block to block: the last rows are fewer.
    const int turned = group * 64 + ((warp + blockIdx.x) & 3) * 16, row = item.row + turned;
    const int present = item.rows - turned, blocks = (item.length + STEP - 1) / STEP;
    const bool busy = present > 0;
    T *own = memory + STAGES * 2 * TILE + warp * 16 * WIDTH;

    auto fill = [&](int block) {
        if (block < blocks) {
            T *keys = memory + block % STAGES * 2 * TILE;
            const T *from = sequence + hidden + block * STEP * pitch;
            bring<STEP, THREADS>(keys, from, pitch, item.length - block * STEP, PIECES, threadIdx.x);
            bring<STEP, THREADS>(keys + TILE, from + hidden, pitch, item.length - block * STEP, PIECES, threadIdx.x);
        }
        commit_copies();
    };
    bring_queries(own, sequence + row * pitch, pitch, present, PIECES);
    commit_copies();
#pragma unroll
    for (int block = 0; block < STAGES - 1; block++) fill(block);
    wait_copies<STAGES - 1>();
    __syncwarp();
    u32 query[WIDTH / 16][4];
    load_queries(query, own, 0);
    float sums[PARTS][COLUMNS / 2], total[2] = {0.0f, 0.0f}, highest[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY};
#pragma unroll
    for (int p = 0; p < PARTS; p++)
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i++) sums[p][i] = 0.0f;
    const float slope = ALIBI ? slopes[head] * 1.44269504088896f / scale : 0.0f, leeway = LEEWAY / scale;
    for (int block = 0; block < blocks; block++) {
        wait_copies<STAGES - 2>();
        show_to_products();
        // Everybody's copies are here, and nobody works on the stage that comes free.
        __syncthreads();
        fill(block + STAGES - 1);
        const T *keys = memory + block % STAGES * 2 * TILE;
        float scores[STEP / 64][32];
        u32 weights[STEP / 16][4];
        score(scores, query, describe(keys), STEP);
        if (busy) {
            const int first = block * STEP;
            adjust<0>(scores, item.length - first, (float)(row + (lane >> 2) - (lane & 3) * 2 - first), slope);
            float top[2];
#pragma unroll
            for (int half = 0; half < 2; half++) top[half] = largest(scores, half, highest[half]);
            if (__any_sync(FULL, top[0] > highest[0] + leeway || top[1] > highest[1] + leeway)) {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    top[half] = largest_of_row(top[half]);
                    float carry = exp2_fast((highest[half] - top[half]) * scale);
                    highest[half] = top[half];
                    total[half] *= carry;
#pragma unroll
                    for (int p = 0; p < PARTS; p++)
#pragma unroll
                        for (int i = 0; i < COLUMNS / 2; i += 4) {
                            sums[p][i + 2 * half] *= carry;
                            sums[p][i + 2 * half + 1] *= carry;
                        }
                }
            }
            const float shift[2] = {highest[0] * scale, highest[1] * scale};
            weigh(scores, weights, scale, shift, total);
        } else {
            // Its rows are all past the end: it takes part in the products alone.
#pragma unroll
            for (int s = 0; s < STEP / 16; s++)
#pragma unroll
                for (int i = 0; i < 4; i++) weights[s][i] = 0;
        }
        sum_values(sums, weights, describe(keys + TILE), STEP, true);
    }
    if (busy) write_rows(sums, total, out + (u64)(item.start + row) * hidden + head * WIDTH, hidden, present);
}
