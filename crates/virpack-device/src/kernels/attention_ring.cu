// Varlen attention of sequences of any length on compute capability 9.0, 16-bit floats; queries and keys are
// rotated already.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values; the tensor map has boxes of STEP rows by COLUMNS),
// slopes [heads] (with -DALIBI=1), out [tokens, hidden]. Compiled for a head width (-DWIDTH; HEADS is 1),
// keys a step (-DSTEP), steps in memory (-DSTAGES), warpgroups a block (-DWARPGROUPS), the most rows that it
// takes (-DSPAN) and blocks a processor (-DBLOCKS). Idea: FlashAttention-2 and -3 (Dao 2023, Shah et al.
// 2024): a warpgroup takes 64 rows of a head and runs through the keys and values STEP at a time; wgmma,
// online softmax in registers. Keys and values come by bulk copies, which one thread keeps ahead in a ring
// that the warpgroups share; nothing else holds them together. They hide each other's waits: one is in a
// product while another is in a softmax. Sums are rescaled only when a row's highest score has grown by more
// than 2^8 since the last time (FlashAttention-4): until then weights are up to 256, as exact in every dtype
// as those up to 1.
// A head of 24 comes with the first 8 values of the next one, which queries of zero take out as long as
// they are finite.
// Limits: WIDTH 16, 24, 32, 64 or 128; STEP a multiple of 64, at most 256; SPAN a multiple of
// ROWS WARPGROUPS; sequences of less than 2^31 values of qkv.

#define THREADS (WARPGROUP * WARPGROUPS)
#define TILE (STEP * ROW)
#define STAGE (2 * TILE * 2)         // bytes
#define AHEAD (STAGES - WARPGROUPS)  // steps: others may be WARPGROUPS - 1 behind the warpgroup that copies
#define LEEWAY 8.0f
#define BARRIERS_AT (STAGES * STAGE + WARPGROUPS * ROWS * ROW * 2)
#define FULL_AT(s) (base + BARRIERS_AT + (s) * 8)
#define EMPTY_AT(s) (base + BARRIERS_AT + (STAGES + (s)) * 8)

// Zeroes the rows of `values` from `left` on, which belong to a neighbour: a weight of zero does not remove a
// NaN. Every warpgroup does this itself; another may already read the same zeros.
__device__ __forceinline__ void clear_rows(T *values, int left, int thread) {
#pragma unroll
    for (int p = 0; p < PARTS; p++)
        for (int i = left * TILE_VECTORS + thread; i < STEP * TILE_VECTORS; i += WARPGROUP)
            *(uint4 *)(values + p * STEP * COLUMNS + i * 8) = make_uint4(0, 0, 0, 0);
}

// A block for each item, each of `groups` SPAN rows of it (items may have fewer) and each head, in this
// order. It passes over the keys once for every ROWS WARPGROUPS of its rows; the ring continues from one pass
// to the next, so that a block waits for its first keys alone. Shared memory: STAGES times keys
// [PARTS][STEP][COLUMNS] and values the same, then 16 rows of queries a warp, then barriers.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention(const __grid_constant__ TensorMap map, const T *qkv, const Item *items, const float *slopes,
              T *out, int heads, int groups, float scale) {
    extern __shared__ __align__(1024) T memory[];
    const u32 base = shared_address(memory);
    const int head = blockIdx.x % heads, before = blockIdx.x / heads % groups * SPAN;
    Item item = items[blockIdx.x / heads / groups];
    item.row += before, item.rows = min(SPAN, item.rows - before);
    if (item.rows <= 0) return;
    const int warpgroups = min(WARPGROUPS, (item.rows + ROWS - 1) / ROWS);
    const int warp = threadIdx.x / 32, warpgroup = threadIdx.x / WARPGROUP, lane = threadIdx.x & 31;
    const int hidden = heads * WIDTH, pitch = 3 * hidden, blocks = (item.length + STEP - 1) / STEP;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_init(FULL_AT(s), 1);
            barrier_init(EMPTY_AT(s), warpgroups * WARPGROUP / 32);
        }
        fence_barrier_init();
    }
    __syncthreads();
    if (warpgroup >= warpgroups) return;

    PipelineState<STAGES> loading;
    int next = 0, passes = (item.rows + WARPGROUPS * ROWS - 1) / (WARPGROUPS * ROWS);
    auto load_stage_async = [&] {
        if (passes == 0) return;
        const u32 to = base + loading.stage * STAGE;
        wait(EMPTY_AT(loading.stage), loading.phase ^ 1);
        arrive_expect_bytes(FULL_AT(loading.stage), STAGE);
#pragma unroll
        for (int part = 0; part < 2 * PARTS; part++)
            copy_box_async(to + part * STEP * COLUMNS * 2, map,
                           (part / PARTS + 1) * hidden + head * WIDTH + part % PARTS * COLUMNS,
                           item.start + next * STEP, FULL_AT(loading.stage));
        loading.advance();
        if (++next == blocks) next = 0, passes--;
    };
    if (threadIdx.x == 0)
        for (int i = 0; i < AHEAD; i++) load_stage_async();
    // Which 16 of the 64 rows a warp takes differs from block to block: the last rows are fewer.
    const int first = warpgroup * ROWS + ((warp + blockIdx.x) & 3) * 16;
    T *own = memory + STAGES * 2 * TILE + warp * 16 * ROW;
    auto load_own_async = [&](int from) {
        load_queries_async(own, qkv + (u64)(item.start + item.row + from) * pitch + head * WIDTH, pitch,
                           item.rows - from, VECTORS);
        commit_copies();
    };
    load_own_async(first);
    const float slope = ALIBI ? slopes[head] * LOG2_E / scale : 0.0f, leeway = LEEWAY / scale;
    PipelineState<STAGES> p;
    for (int from = first; from - first < item.rows; from += WARPGROUPS * ROWS) {
        const int row = item.row + from, present = item.rows - from;
        const bool active = present > 0;
        if (WARPGROUPS > 1 && from - first + warpgroup * ROWS >= item.rows) {
            // None of the warpgroup's rows are left: it only frees what the others have read.
            for (int block = 0; block < blocks; block++, p.advance()) {
                wait(FULL_AT(p.stage), p.phase);
                if (lane == 0) arrive(EMPTY_AT(p.stage));
            }
            break;
        }
        wait_copies<0>();
        __syncwarp();
        u32 query[ROW / 16][4];
        load_query_fragments(query, own, 0);
        __syncwarp();
        load_own_async(from + WARPGROUPS * ROWS);
        float sums[PARTS][PART_SUMS], total[2] = {0.0f, 0.0f},
                                      highest[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY};
#pragma unroll
        for (int p = 0; p < PARTS; p++)
#pragma unroll
            for (int i = 0; i < PART_SUMS; i++) sums[p][i] = 0.0f;
        for (int block = 0; block < blocks; block++, p.advance()) {
            if (threadIdx.x == 0) load_stage_async();
            __syncwarp();
            T *keys = memory + p.stage * 2 * TILE;
            const int left = item.length - block * STEP;
            wait(FULL_AT(p.stage), p.phase);
            if (left < STEP) {
                clear_rows(keys + TILE, left, threadIdx.x % WARPGROUP);
                fence_async_proxy();
                if (WARPGROUPS == 1 || warpgroup == 0)
                    asm volatile("bar.sync 1, %0;" ::"n"(WARPGROUP) : "memory");
                else asm volatile("bar.sync 2, %0;" ::"n"(WARPGROUP) : "memory");
            }
            float scores[STEP / 64][32];
            u32 weights[STEP / 16][4];
            compute_scores(scores, query, tile_descriptor(keys), STEP);
            if (active) {
                mask_and_bias<0>(scores, left, (float)(row + (lane >> 2) - (lane & 3) * 2 - block * STEP),
                                 slope);
                float top[2];
#pragma unroll
                for (int half = 0; half < 2; half++) top[half] = thread_max(scores, half, highest[half]);
                if (__any_sync(FULL, top[0] > highest[0] + leeway || top[1] > highest[1] + leeway)) {
#pragma unroll
                    for (int half = 0; half < 2; half++) {
                        top[half] = row_max(top[half]);
                        float rescale = exp2_fast((highest[half] - top[half]) * scale);
                        highest[half] = top[half];
                        total[half] *= rescale;
#pragma unroll
                        for (int p = 0; p < PARTS; p++)
#pragma unroll
                            for (int i = 0; i < PART_SUMS; i += 4) {
                                sums[p][i + 2 * half] *= rescale;
                                sums[p][i + 2 * half + 1] *= rescale;
                            }
                    }
                }
                const float shift[2] = {highest[0] * scale, highest[1] * scale};
                softmax_weights(scores, weights, scale, shift, total);
            } else {
                // All its rows are past the end: it only takes part in the products.
#pragma unroll
                for (int s = 0; s < STEP / 16; s++)
#pragma unroll
                    for (int i = 0; i < 4; i++) weights[s][i] = 0;
            }
            accumulate_values(sums, weights, tile_descriptor(keys + TILE), STEP, true);
            if (lane == 0) arrive(EMPTY_AT(p.stage));
        }
        if (active)
            store_rows(sums, total, out + (u64)(item.start + row) * hidden + head * WIDTH, hidden, present);
    }
}
