// Varlen attention in one pass on the matrix units, 16-bit floats, rotary applied on the way in.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values), table [positions, WIDTH / 2] of (cos, sin) or null,
// slopes [heads] (with -DALIBI=1), out [tokens, hidden]. Compiled for one head width (-DWIDTH), a number of
// heads a block (-DHEADS), threads a block (-DTHREADS) and blocks a processor (-DBLOCKS), 16-row tiles a warp
// (-DTILES) and keys a softmax round (-DSTEP). Idea: FlashAttention-2 (Dao 2023): online softmax, scores and
// sums in float32, the weights handed to the second product in registers. A block takes one item (rows of one
// sequence) and HEADS heads and holds `capacity` keys and values of each. A sequence that fits is
// copied and rotated once, and its groups of ROWS rows are shared out among the warps with no wait between
// them; a longer one runs through them in chunks, the next ones copied while one is worked on (before sm_80:
// before). mma.sync m16n8k16, or on sm_75 m16n8k8. Limits: WIDTH 16, 24 (padded to 32 with zeros), 32, 64 or
// 128; capacity a multiple of 16, and of CHUNK (at least two of them) where longer sequences come.

// ROTATED values, 8 or 16 bytes.
struct Values {
    u32 words[ROTATED / 2];
};
__device__ __forceinline__ Values load_values(const T *p) {
    Values r;
    if (ROTATED == 8) *(uint4 *)r.words = *(const uint4 *)p;
    else *(uint2 *)r.words = *(const uint2 *)p;
    return r;
}
__device__ __forceinline__ void store_values(T *p, const Values &r) {
    if (ROTATED == 8) *(uint4 *)p = *(const uint4 *)r.words;
    else *(uint2 *)p = *(const uint2 *)r.words;
}

// Rotates `count` rows in shared memory, of `heads` matrices `apart` values apart; row 0 is position `first`.
__device__ __forceinline__ void rotate(T *rows, int count, int heads, int apart, const float2 *table,
                                       int first, int thread, int threads) {
    const int parts = HALF / ROTATED;
    for (int i = thread; i < count * parts; i += threads) {
        int row = i / parts, c = i % parts * ROTATED;
        float4 angles[ROTATED / 2];
#pragma unroll
        for (int j = 0; j < ROTATED / 2; j++)
            angles[j] = ((const float4 *)(table + (first + row) * HALF + c))[j];
        T *low = rows + swizzled(row, c / 8) + c % 8,
          *high = rows + swizzled(row, (c + HALF) / 8) + (c + HALF) % 8;
        for (int h = 0; h < heads; h++, low += apart, high += apart) {
            Values a = load_values(low), b = load_values(high);
#pragma unroll
            for (int j = 0; j < ROTATED / 2; j++) {
                float a0, a1, b0, b1;
                unpack(a.words[j], a0, a1);
                unpack(b.words[j], b0, b1);
                a.words[j] = pack(a0 * angles[j].x - b0 * angles[j].y, a1 * angles[j].z - b1 * angles[j].w);
                b.words[j] = pack(b0 * angles[j].x + a0 * angles[j].y, b1 * angles[j].z + a1 * angles[j].w);
            }
            store_values(low, a);
            store_values(high, b);
        }
    }
}

// The work of a block.
struct Block {
    const T *sequence;  // the queries of the block's first head in the sequence's first row
    T *keys, *values;   // [HEADS][capacity][DEPTH] each
    int hidden, capacity, heads, length;
};

// Starts to copy keys and values `first ..` to the rows from `row` on: up to `most` of them, to the next
// multiple of 16.
__device__ __forceinline__ void load_keys_async(const Block &b, int first, int row, int most) {
    int count = min(most, b.length - first), padded = (count + 15) & ~15;
    const int pitch = 3 * b.hidden;
    for (int h = 0; h < b.heads; h++) {
        const T *from = b.sequence + h * WIDTH + b.hidden + (u64)first * pitch;
        int at = h * b.capacity + row;
#if WIDTH == 24
        for (int i = threadIdx.x; i < padded * VECTORS; i += THREADS) {
            int r = i / VECTORS, vector = i % VECTORS;
            const T *source = from + (u64)min(r, count - 1) * pitch + vector * 8;
            copy_two_async(b.keys + swizzled(at + r, vector), source, b.values + swizzled(at + r, vector),
                           source + b.hidden, r < count);
        }
#else
        // A thread keeps its vector; its rows are a multiple of 8 apart, so that the swizzle stays the same
        // too.
        const int vector = threadIdx.x % VECTORS, apart = THREADS / VECTORS;
        int r = threadIdx.x / VECTORS;
        const T *source = from + (u64)r * pitch + vector * 8;
        T *keys = b.keys + swizzled(at + r, vector), *values = b.values + swizzled(at + r, vector);
        for (; r < padded;
             r += apart, keys += apart * DEPTH, values += apart * DEPTH, source += apart * pitch) {
            // Past the end nothing is read, but the address must be valid.
            const T *safe = r < count ? source : from;
            copy_two_async(keys, safe, values, safe + b.hidden, r < count);
        }
#endif
    }
    commit_copies();
}

__device__ __forceinline__ void load_queries_async(T *own, const T *from, int hidden, int present) {
    for (int i = threadIdx.x & 31; i < ROWS * VECTORS; i += 32) {
        int r = i / VECTORS, vector = i % VECTORS;
        copy_async(own + swizzled(r, vector), from + (u64)min(r, present - 1) * 3 * hidden + vector * 8,
                   r < present);
    }
    commit_copies();
}

// Shared memory: keys [HEADS][capacity][DEPTH], values the same, then ROWS rows of queries a warp.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention(const T *qkv, const Item *items, const float2 *table, const float *slopes, T *out, int heads,
              int capacity, float scale) {
    extern __shared__ __align__(128) T memory[];
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32, warps = THREADS / 32;
    const Item item = items[blockIdx.x];
    const int first_head = blockIdx.y * HEADS;
    Block b;
    b.hidden = heads * WIDTH;
    b.capacity = capacity;
    b.heads = min(HEADS, heads - first_head);
    b.length = item.length;
    b.sequence = qkv + (u64)item.start * 3 * b.hidden + first_head * WIDTH;
    b.keys = memory;
    b.values = memory + HEADS * capacity * DEPTH;
    T *own = memory + 2 * HEADS * capacity * DEPTH + warp * ROWS * DEPTH;

    if (DEPTH != WIDTH) {
        // The padding columns of queries, keys and values stay zero from here on.
        for (int i = threadIdx.x; i < 2 * HEADS * capacity + warps * ROWS; i += THREADS)
            *(uint4 *)(memory + swizzled(i, SHARED_VECTORS - 1)) = make_uint4(0, 0, 0, 0);
    }
    const int groups = (item.rows + ROWS - 1) / ROWS, tasks = groups * b.heads,
              rounds = (tasks + warps - 1) / warps;
    const bool whole = item.length <= capacity;
    const int chunk = whole ? capacity : CHUNK, chunks = (item.length + chunk - 1) / chunk;
    const int slots = whole ? 1 : capacity / CHUNK, visits = whole ? 1 : rounds * chunks;
    for (int task = warp; task < tasks; task += tasks) {
        int row = item.row + task % groups * ROWS;
        load_queries_async(own, b.sequence + (task / groups) * WIDTH + (u64)row * 3 * b.hidden, b.hidden,
                           min(ROWS, item.row + item.rows - row));
    }
    if (warp >= tasks) commit_copies();
    // One slot fewer than there are: the last is free for the next copy while one is worked on.
    for (int v = 0; v < max(1, slots - 1); v++) {
        if (v < visits) load_keys_async(b, v % chunks * chunk, v % slots * chunk, chunk);
        else commit_copies();
    }
    int visit = 0;
    for (int round = 0; round < rounds; round++) {
        const int task = round * warps + warp;
        const bool active = task < tasks;
        const int head = active ? task / groups : 0, row = item.row + (active ? task % groups : 0) * ROWS;
        const int present = min(ROWS, item.row + item.rows - row);
        Tile tiles[TILES];
        float slope = 0.0f;
        for (int c = 0; c < chunks; c++) {
            const int first = c * chunk, count = min(chunk, item.length - first),
                      slot = visit % slots * chunk;
            if (!whole || round == 0) {
                if (slots > 2) wait_copies<1>();
                else wait_copies<0>();
                // All copies have arrived, and no warp uses the slot that becomes free.
                __syncthreads();
                if (table) {
                    rotate(b.keys + slot * DEPTH, count, b.heads, capacity * DEPTH, table, first, threadIdx.x,
                           THREADS);
                    __syncthreads();
                }
                int next = visit + slots - 1;
                if (!whole) {
                    if (next < visits) load_keys_async(b, next % chunks * chunk, next % slots * chunk, chunk);
                    else commit_copies();
                }
                visit++;
            }
            if (c == 0 && active) {
                if (round > 0) {
                    wait_copies<0>();
                    __syncwarp();
                }
                if (table) rotate(own, present, 1, 0, table, row, lane, 32);
                __syncwarp();
#pragma unroll
                for (int m = 0; m < TILES; m++) {
#pragma unroll
                    for (int k = 0; k < DEPTH / 16; k++)
                        load_matrices(tiles[m].query[k],
                                      own + swizzled(m * 16 + (lane & 15), 2 * k + (lane >> 4)));
#pragma unroll
                    for (int n = 0; n < DEPTH / 8; n++)
#pragma unroll
                        for (int i = 0; i < 4; i++) tiles[m].sums[n][i] = 0.0f;
                    tiles[m].highest[0] = tiles[m].highest[1] = NEGATIVE_INFINITY;
                    tiles[m].total[0] = tiles[m].total[1] = 0.0f;
                }
                __syncwarp();
                int later = task + warps;
                if (later < tasks) {
                    int at = item.row + later % groups * ROWS;
                    load_queries_async(own, b.sequence + (later / groups) * WIDTH + (u64)at * 3 * b.hidden,
                                       b.hidden, min(ROWS, item.row + item.rows - at));
                }
                slope = ALIBI ? slopes[first_head + head] * LOG2_E / scale : 0.0f;
            }
            if (active) {
                const T *k = b.keys + (head * capacity + slot) * DEPTH,
                        *v = b.values + (head * capacity + slot) * DEPTH;
                for (int s = 0; s < count; s += STEP)
                    attend_step(tiles, k + s * DEPTH, v + s * DEPTH, min(STEP, count - s), first + s,
                                row + (lane >> 2), scale, slope);
            }
        }
        if (active) {
#pragma unroll
            for (int half = 0; half < 2 * TILES; half++) {
                Tile &tile = tiles[half / 2];
                float total = tile.total[half % 2];
                total += __shfl_xor_sync(FULL, total, 1);
                total += __shfl_xor_sync(FULL, total, 2);
                float share = 1.0f / total;
                int r = (lane >> 2) + 8 * half, i = half % 2 * 2;
                T *to = out + (u64)(item.start + row + r) * b.hidden + (first_head + head) * WIDTH +
                        (lane & 3) * 2;
                if (r < present) {
#pragma unroll
                    for (int n = 0; n < WIDTH / 8; n++)
                        *(u32 *)(to + n * 8) = pack(tile.sums[n][i] * share, tile.sums[n][i + 1] * share);
                }
            }
        }
    }
}
