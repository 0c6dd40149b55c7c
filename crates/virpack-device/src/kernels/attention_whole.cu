// Varlen attention of short sequences on compute capability 9.0, 16-bit floats; queries and keys are rotated
// already.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values), slopes [heads] (with -DALIBI=1), out [tokens,
// hidden]. Compiled for a head width (-DWIDTH), heads a block (-DHEADS), runs (-DRUNS) of RUN keys and blocks
// a processor (-DBLOCKS). Idea: FlashAttention-3 (Shah et al. 2024) without its pipeline, because all keys of
// a sequence fit at once: a warpgroup takes one sequence and HEADS heads, and each 64 rows are two products
// (wgmma) with one softmax between, the scores in registers. Blocks on the same processor hide each other's
// loads. Heads of a sequence are neighbours in the grid, so that complete rows of qkv are read at about the
// same time. Limits: WIDTH 16, 24, 32, 64 or 128; sequences of at most RUN RUNS keys, each in one item.

#define MOST_KEYS ((RUN * RUNS + 15) / 16 * 16)

struct Task {
    const T *queries;  // of the block's first head in the sequence's first row
    T *out;
    int length, heads, hidden;
    int row_group;  // which 16 of every 64 rows the warp takes
};

// A sequence of at most RUN N keys.
template <int N>
__device__ __forceinline__ void attend(const Task &task, T *keys, T *values, T *own, const float *slopes,
                                       float scale) {
    constexpr int key_rows = (RUN * N + 15) / 16 * 16, steps = key_rows / 16;
    const int lane = threadIdx.x & 31, pitch = 3 * task.hidden, vectors = task.heads * ROW / 8;
    load_queries_async(own, task.queries + task.row_group * 16 * pitch, pitch,
                       task.length - task.row_group * 16, vectors);
    load_tile_async<key_rows, WARPGROUP, true>(keys, task.queries + task.hidden, pitch, task.length, vectors,
                                               threadIdx.x);
    commit_copies();
    load_tile_async<key_rows, WARPGROUP, false>(values, task.queries + 2 * task.hidden, pitch, task.length,
                                                vectors, threadIdx.x);
    commit_copies();
    wait_copies<1>();
    fence_async_proxy();
    __syncthreads();
    bool waiting = true;
    for (int row = task.row_group * 16; row - task.row_group * 16 < task.length; row += ROWS) {
        for (int head = 0; head < task.heads; head++) {
            u32 query[ROW / 16][4], weights[steps][4];
            float scores[N][RUN / 2], sums[PARTS][PART_SUMS], total[2] = {0.0f, 0.0f};
            load_query_fragments(query, own, head);
            compute_scores(scores, query, tile_descriptor(keys + head * key_rows * COLUMNS), key_rows);
            float slope = ALIBI ? slopes[head] * LOG2_E / scale : 0.0f, shift[2];
            mask_and_bias<N - 1>(scores, task.length, (float)(row + (lane >> 2) - (lane & 3) * 2), slope);
#pragma unroll
            for (int half = 0; half < 2; half++)
                shift[half] = row_max(thread_max(scores, half, NEGATIVE_INFINITY)) * scale;
            softmax_weights(scores, weights, scale, shift, total);
            if (waiting) {
                wait_copies<0>();
                fence_async_proxy();
                __syncthreads();
                waiting = false;
            }
            int next = row + ROWS;
            if (head == task.heads - 1 && next < task.length) {
                __syncwarp();
                load_queries_async(own, task.queries + next * pitch, pitch, task.length - next, vectors);
                commit_copies();
            }
            accumulate_values(sums, weights, tile_descriptor(values + head * key_rows * COLUMNS), key_rows,
                              false);
            store_rows(sums, total, task.out + row * task.hidden + head * WIDTH, task.hidden,
                       task.length - row);
        }
        wait_copies<0>();
        __syncwarp();
    }
}

// Shared memory: keys [HEADS * PARTS][key_rows][COLUMNS], values the same, then 16 rows of queries a warp.
extern "C" __global__ void __launch_bounds__(WARPGROUP, BLOCKS)
    attention(const T *qkv, const Item *items, const float *slopes, T *out, int heads, float scale) {
    extern __shared__ __align__(1024) T memory[];
    const int packs = (heads + HEADS - 1) / HEADS, first = blockIdx.x % packs * HEADS,
              warp = threadIdx.x / 32;
    const Item item = items[blockIdx.x / packs];
    Task task;
    task.hidden = heads * WIDTH;
    task.heads = min(HEADS, heads - first);
    task.length = item.length;
    task.queries = qkv + (u64)item.start * 3 * task.hidden + first * WIDTH;
    task.out = out + (u64)item.start * task.hidden + first * WIDTH;
    // Which 16 of every 64 rows a warp takes differs from block to block: the last rows are fewer.
    task.row_group = (warp + blockIdx.x) & 3;
    T *values = memory + MOST_KEYS * HEADS * ROW,
      *own = values + MOST_KEYS * HEADS * ROW + warp * 16 * HEADS * ROW;
    if (ALIBI) slopes += first;
#if RUNS > 2
    if (item.length > 2 * RUN) return attend<3>(task, memory, values, own, slopes, scale);
#endif
#if RUNS > 1
    if (item.length > RUN) return attend<2>(task, memory, values, own, slopes, scale);
#endif
    attend<1>(task, memory, values, own, slopes, scale);
}
