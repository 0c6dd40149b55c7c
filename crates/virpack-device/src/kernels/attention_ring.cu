// Varlen attention of sequences of any length on compute capability 9.0, 16-bit floats; positions are already turned.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values; the tensor map has boxes of STEP rows by COLUMNS), slopes [heads]
// (with -DALIBI=1), out [tokens, hidden]. Compiled for a head width (-DWIDTH; HEADS is 1), keys a step (-DSTEP), steps in
// memory (-DSTAGES), warpgroups a block (-DWARPGROUPS) and blocks a processor (-DBLOCKS). Idea: FlashAttention-2 and -3 (Dao 2023,
// Shah et al. 2024): a warpgroup takes 64 rows of a head and runs through the keys and values STEP at a time; wgmma, online
// softmax in registers. Keys and values come by bulk copies, which one thread keeps ahead in a ring that the warpgroups
// share; nothing else holds them together. They hide each other's waits: one is in a product while another is in a softmax.
// Sums are rescaled only when a row's largest score has grown by more than 2^8 since the last time (FlashAttention-4):
// until then weights are up to 256, as exact in every dtype as those up to 1.
// A head of 24 comes with the first 8 values of the next one, which queries of zero take out.
// Limits: WIDTH 16, 24, 32, 64 or 128; STEP a multiple of 64, at most 256; sequences of less than 2^31 values of qkv.

#define THREADS (WARPGROUP * WARPGROUPS)
#define TILE (STEP * ROW)
#define STAGE (2 * TILE * 2)                        // bytes
#define AHEAD (STAGES - WARPGROUPS)                      // steps: others may be WARPGROUPS - 1 behind the warpgroup that copies
#define LEEWAY 8.0f
#define BARRIERS_AT (STAGES * STAGE + WARPGROUPS * ROWS * ROW * 2)
#define FULL_AT(s) (base + BARRIERS_AT + (s) * 8)
#define EMPTY_AT(s) (base + BARRIERS_AT + (STAGES + (s)) * 8)

// Zeros for the rows of `values` from `left` on, which are a neighbour's: weights of zero do not take a NaN away. Every
// warpgroup does it for itself; that another already reads the same zeros is no harm.
__device__ __forceinline__ void clear(T *values, int left, int thread) {
#pragma unroll
    for (int p = 0; p < PARTS; p++)
        for (int i = left * CHUNKS + thread; i < STEP * CHUNKS; i += WARPGROUP)
            *(uint4 *)(values + p * STEP * COLUMNS + i * 8) = make_uint4(0, 0, 0, 0);
}

// A block for each item, each of `groups` ROWS WARPGROUPS rows of it (items may have fewer) and each head, in this order.
// Shared memory: STAGES times keys [PARTS][STEP][COLUMNS] and values the same, then 16 rows of queries a warp, then barriers.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention(const __grid_constant__ TensorMap map, const T *qkv, const Item *items, const float *slopes, T *out,
              int heads, int groups, float scale) {
    extern __shared__ __align__(1024) T memory[];
    const u32 base = shared_address(memory);
    const int head = blockIdx.x % heads, group = blockIdx.x / heads % groups;
    const Item item = items[blockIdx.x / heads / groups];
    const int first_row = group * WARPGROUPS * ROWS, teams = min(WARPGROUPS, (item.rows - first_row + ROWS - 1) / ROWS);
    if (teams <= 0) return;
    const int warp = threadIdx.x / 32, team = threadIdx.x / WARPGROUP, lane = threadIdx.x & 31;
    const int hidden = heads * WIDTH, pitch = 3 * hidden, blocks = (item.length + STEP - 1) / STEP;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; s++) {
            barrier_begin(FULL_AT(s), 1);
            barrier_begin(EMPTY_AT(s), teams * WARPGROUP / 32);
        }
        barriers_ready();
    }
    __syncthreads();
    if (team >= teams) return;

    Place<STAGES> filled;
    int next = 0;
    auto fill = [&] {
        if (next == blocks) return;
        const u32 to = base + filled.stage * STAGE;
        wait(EMPTY_AT(filled.stage), filled.phase ^ 1);
        arrive_expecting(FULL_AT(filled.stage), STAGE);
#pragma unroll
        for (int part = 0; part < 2 * PARTS; part++)
            copy_box(to + part * STEP * COLUMNS * 2, map, (part / PARTS + 1) * hidden + head * WIDTH + part % PARTS * COLUMNS,
                     item.start + next * STEP, FULL_AT(filled.stage));
        filled.next();
        next++;
    };
    if (threadIdx.x == 0)
        for (int i = 0; i < AHEAD; i++) fill();
    // Which 16 of the 64 rows a warp takes differs from block to block: the last rows are fewer.
    const int turned = first_row + team * ROWS + ((warp + blockIdx.x) & 3) * 16, row = item.row + turned;
    const int present = item.rows - turned;
    const bool busy = present > 0;
    T *own = memory + STAGES * 2 * TILE + warp * 16 * ROW;
    bring_queries(own, qkv + (u64)(item.start + row) * pitch + head * WIDTH, pitch, present, PIECES);
    commit_copies();
    wait_copies<0>();
    __syncwarp();
    u32 query[ROW / 16][4];
    load_queries(query, own, 0);
    float sums[PARTS][PART_SUMS], total[2] = {0.0f, 0.0f}, highest[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY};
#pragma unroll
    for (int p = 0; p < PARTS; p++)
#pragma unroll
        for (int i = 0; i < PART_SUMS; i++) sums[p][i] = 0.0f;
    const float slope = ALIBI ? slopes[head] * LOG2_E / scale : 0.0f, leeway = LEEWAY / scale;
    Place<STAGES> p;
    for (int block = 0; block < blocks; block++, p.next()) {
        if (threadIdx.x == 0) fill();
        __syncwarp();
        T *keys = memory + p.stage * 2 * TILE;
        const int left = item.length - block * STEP;
        wait(FULL_AT(p.stage), p.phase);
        if (left < STEP) {
            clear(keys + TILE, left, threadIdx.x % WARPGROUP);
            show_to_products();
            if (WARPGROUPS == 1 || team == 0) asm volatile("bar.sync 1, %0;" ::"n"(WARPGROUP) : "memory");
            else asm volatile("bar.sync 2, %0;" ::"n"(WARPGROUP) : "memory");
        }
        float scores[STEP / 64][32];
        u32 weights[STEP / 16][4];
        score(scores, query, describe(keys), STEP);
        if (busy) {
            adjust<0>(scores, left, (float)(row + (lane >> 2) - (lane & 3) * 2 - block * STEP), slope);
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
                        for (int i = 0; i < PART_SUMS; i += 4) {
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
        if (lane == 0) arrive(EMPTY_AT(p.stage));
    }
    if (busy) write_rows(sums, total, out + (u64)(item.start + row) * hidden + head * WIDTH, hidden, present);
}
