// Varlen attention in one pass on the matrix units, 16-bit floats, rotary applied on the way in.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values), table [positions, WIDTH / 2] of (cos, sin) or null,
// slopes [heads] or null (ALiBi), out [tokens, hidden]. Compiled for one head width (-DWIDTH), a number of heads a
// block (-DHEADS) and of threads (-DTHREADS). Idea: FlashAttention-2 (Dao 2023): online softmax, scores and
// sums in float32, the weights handed to the second product in registers. A block takes one item (rows of one
// sequence) and HEADS heads and has room for `capacity` keys and values of each. A sequence that fits is copied and
// rotated once, and its 16-row groups are shared out among the warps with no wait between them; a longer one runs
// through the room in chunks, the next ones copied while one is worked on. mma.sync m16n8k16, so sm_80 and up.
// Limits: WIDTH 16, 24 (padded to 32 with zeros), 32, 64 or 128; capacity a multiple of 16, and of CHUNK (at least
// two of them) where longer sequences come.

#define DEPTH ((WIDTH + 15) / 16 * 16)
#define HALF (WIDTH / 2)
// 16-byte pieces of a row in memory, and of a row in shared memory.
#define PIECES (WIDTH / 8)
#define PLACES (DEPTH / 8)
// Values of each half that a thread rotates at once.
#define TURN (HALF % 8 == 0 ? 8 : 4)
// Keys of one softmax step, and of one chunk of a long sequence (8 KB of keys).
#define STEP 64
#define CHUNK (WIDTH <= 16 ? 256 : WIDTH <= 32 ? 128 : 64)
// Registers a thread may have: 128 up to 64 wide, so that 16 warps share a processor.
#define BLOCKS ((WIDTH <= 64 ? 512 : 256) / THREADS)

// Rows lie side by side without padding; their 16-byte pieces are exchanged by row, so that the 8 rows of an ldmatrix
// meet 8 different groups of banks.
__device__ __forceinline__ int exchange(int row) {
    return (PLACES >= 8 ? row : row / (8 / PLACES)) & (PLACES >= 8 ? 7 : PLACES - 1);
}
__device__ __forceinline__ int place(int row, int piece) { return row * DEPTH + (piece ^ exchange(row)) * 8; }

__device__ __forceinline__ u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void load_matrices(u32 (&r)[4], const T *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(p)) : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(u32 (&r)[4], const T *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(p)) : "memory");
}

// c [16, 8] += a [16, 16] * b [16, 8].
__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if DTYPE == 1
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#endif
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 16 bytes to shared memory without waiting; zeros where not `present`.
__device__ __forceinline__ void copy_async(T *to, const T *from, bool present) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 ::"r"(shared_address(to)), "l"(from), "r"(present ? 16 : 0) : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT> __device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

// TURN values, 8 or 16 bytes.
struct Values { u32 words[TURN / 2]; };
__device__ __forceinline__ Values load_values(const T *p) {
    Values r;
    if (TURN == 8) *(uint4 *)r.words = *(const uint4 *)p; else *(uint2 *)r.words = *(const uint2 *)p;
    return r;
}
__device__ __forceinline__ void store_values(T *p, const Values &r) {
    if (TURN == 8) *(uint4 *)p = *(const uint4 *)r.words; else *(uint2 *)p = *(const uint2 *)r.words;
}

// Rotates `count` rows in shared memory, of `heads` matrices `apart` values apart; row 0 is position `first`.
__device__ __forceinline__ void rotate(T *rows, int count, int heads, int apart, const float2 *table, int first,
                                       int member, int team) {
    const int turns = HALF / TURN;
    for (int i = member; i < count * turns; i += team) {
        int row = i / turns, c = i % turns * TURN;
        float4 turn[TURN / 2];
#pragma unroll
        for (int j = 0; j < TURN / 2; j++) turn[j] = ((const float4 *)(table + (first + row) * HALF + c))[j];
        T *low = rows + place(row, c / 8) + c % 8, *high = rows + place(row, (c + HALF) / 8) + (c + HALF) % 8;
        for (int h = 0; h < heads; h++, low += apart, high += apart) {
            Values a = load_values(low), b = load_values(high);
#pragma unroll
            for (int j = 0; j < TURN / 2; j++) {
                float a0, a1, b0, b1;
                unpack(a.words[j], a0, a1);
                unpack(b.words[j], b0, b1);
                a.words[j] = pack(a0 * turn[j].x - b0 * turn[j].y, a1 * turn[j].z - b1 * turn[j].w);
                b.words[j] = pack(b0 * turn[j].x + a0 * turn[j].y, b1 * turn[j].z + a1 * turn[j].w);
            }
            store_values(low, a);
            store_values(high, b);
        }
    }
}

struct Rows {
    float sums[DEPTH / 8][4];
    float highest[2], total[2];
};

// One softmax step: `count` (at most STEP) keys at `keys` and `values`, numbered from `first_key`.
__device__ __forceinline__ void step(Rows &rows, const u32 (&query)[DEPTH / 16][4], const T *keys, const T *values,
                                     int count, int first_key, int row, float scale, float slope) {
    int lane = threadIdx.x & 31, swap = exchange(lane & 7);
    float scores[STEP / 8][4];
#pragma unroll
    for (int g = 0; g < STEP / 16; g++) {
#pragma unroll
        for (int i = 0; i < 4; i++) scores[2 * g][i] = scores[2 * g + 1][i] = 0.0f;
        if (g * 16 < count) {
            const T *at = keys + (g * 16 + (lane >> 4) * 8 + (lane & 7)) * DEPTH;
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++) {
                u32 b[4];
                load_matrices(b, at + ((2 * k + ((lane >> 3) & 1)) ^ swap) * 8);
                multiply(scores[2 * g], query[k], b[0], b[1]);
                multiply(scores[2 * g + 1], query[k], b[2], b[3]);
            }
        }
    }
    if (slope != 0.0f) {
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int key = first_key + n * 8 + (lane & 3) * 2 + (i & 1);
                // In the units of the raw scores, as `scale` multiplies both.
                scores[n][i] -= slope * (float)abs(row + (i >> 1) * 8 - key);
            }
    }
    if (count < STEP) {
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (n * 8 + (lane & 3) * 2 + (i & 1) >= count) scores[n][i] = NEGATIVE_INFINITY;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float top = rows.highest[half];
#pragma unroll
        for (int n = 0; n < STEP / 8; n++) top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(FULL, top, 1));
        top = fmaxf(top, __shfl_xor_sync(FULL, top, 2));
        float carry = exp2_fast((rows.highest[half] - top) * scale), shift = top * scale, total = 0.0f;
        rows.highest[half] = top;
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                float w = exp2_fast(fmaf(scores[n][2 * half + i], scale, -shift));
                scores[n][2 * half + i] = w;
                total += w;
            }
        rows.total[half] = rows.total[half] * carry + total;
#pragma unroll
        for (int n = 0; n < DEPTH / 8; n++) {
            rows.sums[n][2 * half] *= carry;
            rows.sums[n][2 * half + 1] *= carry;
        }
    }
#pragma unroll
    for (int g = 0; g < STEP / 16; g++) {
        if (g * 16 < count) {
            u32 weights[4] = {pack(scores[2 * g][0], scores[2 * g][1]), pack(scores[2 * g][2], scores[2 * g][3]),
                              pack(scores[2 * g + 1][0], scores[2 * g + 1][1]),
                              pack(scores[2 * g + 1][2], scores[2 * g + 1][3])};
            const T *at = values + (g * 16 + (lane & 15)) * DEPTH;
#pragma unroll
            for (int n = 0; n < DEPTH / 16; n++) {
                u32 b[4];
                load_matrices_transposed(b, at + ((2 * n + (lane >> 4)) ^ swap) * 8);
                multiply(rows.sums[2 * n], weights, b[0], b[1]);
                multiply(rows.sums[2 * n + 1], weights, b[2], b[3]);
            }
        }
    }
}

// What a block works on.
struct Place {
    const T *sequence;  // the queries of the block's first head in the sequence's first row
    T *keys, *values;   // [HEADS][capacity][DEPTH] each
    int hidden, capacity, heads, length;
};

// Starts to copy keys and values `first ..` to the rows from `row` on: up to `most` of them, to the next multiple of 16.
__device__ __forceinline__ void bring(const Place &b, int first, int row, int most) {
    int count = min(most, b.length - first), padded = (count + 15) & ~15;
    for (int h = 0; h < b.heads; h++) {
        const T *from = b.sequence + h * WIDTH + b.hidden;
        int at = h * b.capacity + row;
        for (int i = threadIdx.x; i < padded * PIECES; i += THREADS) {
            int r = i / PIECES, piece = i % PIECES;
            const T *source = from + (u64)(first + min(r, count - 1)) * 3 * b.hidden + piece * 8;
            copy_async(b.keys + place(at + r, piece), source, r < count);
            copy_async(b.values + place(at + r, piece), source + b.hidden, r < count);
        }
    }
    commit_copies();
}

__device__ __forceinline__ void bring_queries(T *own, const T *from, int hidden, int present) {
    for (int i = threadIdx.x & 31; i < 16 * PIECES; i += 32) {
        int r = i / PIECES, piece = i % PIECES;
        copy_async(own + place(r, piece), from + (u64)min(r, present - 1) * 3 * hidden + piece * 8, r < present);
    }
    commit_copies();
}

// Shared memory: keys [HEADS][capacity][DEPTH], values the same, then 16 rows of queries a warp.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    attention(const T *qkv, const Item *items, const float2 *table, const float *slopes, T *out, int heads,
              int capacity, float scale) {
    extern __shared__ __align__(128) T memory[];
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32, warps = THREADS / 32;
    const Item item = items[blockIdx.x];
    const int first_head = blockIdx.y * HEADS;
    Place b;
    b.hidden = heads * WIDTH;
    b.capacity = capacity;
    b.heads = min(HEADS, heads - first_head);
    b.length = item.length;
    b.sequence = qkv + (u64)item.start * 3 * b.hidden + first_head * WIDTH;
    b.keys = memory;
    b.values = memory + HEADS * capacity * DEPTH;
    T *own = memory + 2 * HEADS * capacity * DEPTH + warp * 16 * DEPTH;

    if (DEPTH != WIDTH) {
        // The padding columns of queries, keys and values stay zero from here on.
        for (int i = threadIdx.x; i < 2 * HEADS * capacity + warps * 16; i += THREADS)
            *(uint4 *)(memory + place(i, PLACES - 1)) = make_uint4(0, 0, 0, 0);
    }
    const int groups = (item.rows + 15) / 16, tasks = groups * b.heads, rounds = (tasks + warps - 1) / warps;
    const bool whole = item.length <= capacity;
    const int chunk = whole ? capacity : CHUNK, chunks = (item.length + chunk - 1) / chunk;
    const int slots = whole ? 1 : capacity / CHUNK, visits = whole ? 1 : rounds * chunks;
    for (int task = warp; task < tasks; task += tasks) {
        int row = item.row + task % groups * 16;
        bring_queries(own, b.sequence + (task / groups) * WIDTH + (u64)row * 3 * b.hidden, b.hidden,
                      min(16, item.row + item.rows - row));
    }
    if (warp >= tasks) commit_copies();
    // One slot fewer than there are: the last is free for the next copy while one is worked on.
    for (int v = 0; v < max(1, slots - 1); v++) {
        if (v < visits) bring(b, v % chunks * chunk, v % slots * chunk, chunk); else commit_copies();
    }
    int visit = 0;
    for (int round = 0; round < rounds; round++) {
        const int task = round * warps + warp;
        const bool busy = task < tasks;
        const int head = busy ? task / groups : 0, row = item.row + (busy ? task % groups : 0) * 16;
        const int present = min(16, item.row + item.rows - row);
        u32 query[DEPTH / 16][4];
        Rows rows;
        float slope = 0.0f;
        for (int c = 0; c < chunks; c++) {
            const int first = c * chunk, count = min(chunk, item.length - first), slot = visit % slots * chunk;
            if (!whole || round == 0) {
                if (slots > 2) wait_copies<1>(); else wait_copies<0>();
                // Everybody's copies are here, and nobody works on the slot that comes free.
                __syncthreads();
                if (table) {
                    rotate(b.keys + slot * DEPTH, count, b.heads, capacity * DEPTH, table, first, threadIdx.x, THREADS);
                    __syncthreads();
                }
                int next = visit + slots - 1;
                if (!whole) {
                    if (next < visits) bring(b, next % chunks * chunk, next % slots * chunk, chunk);
                    else commit_copies();
                }
                visit++;
            }
            if (c == 0 && busy) {
                if (round > 0) {
                    wait_copies<0>();
                    __syncwarp();
                }
                if (table) rotate(own, present, 1, 0, table, row, lane, 32);
                __syncwarp();
#pragma unroll
                for (int k = 0; k < DEPTH / 16; k++)
                    load_matrices(query[k], own + place(lane & 15, 2 * k + (lane >> 4)));
                __syncwarp();
                int later = task + warps;
                if (later < tasks) {
                    int at = item.row + later % groups * 16;
                    bring_queries(own, b.sequence + (later / groups) * WIDTH + (u64)at * 3 * b.hidden, b.hidden,
                                  min(16, item.row + item.rows - at));
                }
#pragma unroll
                for (int n = 0; n < DEPTH / 8; n++)
#pragma unroll
                    for (int i = 0; i < 4; i++) rows.sums[n][i] = 0.0f;
                rows.highest[0] = rows.highest[1] = NEGATIVE_INFINITY;
                rows.total[0] = rows.total[1] = 0.0f;
                slope = slopes ? slopes[first_head + head] * 1.44269504088896f / scale : 0.0f;
            }
            if (busy) {
                const T *k = b.keys + (head * capacity + slot) * DEPTH, *v = b.values + (head * capacity + slot) * DEPTH;
                for (int s = 0; s < count; s += STEP)
                    step(rows, query, k + s * DEPTH, v + s * DEPTH, min(STEP, count - s), first + s, row + (lane >> 2),
                         scale, slope);
            }
        }
        if (busy) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float total = rows.total[half];
                total += __shfl_xor_sync(FULL, total, 1);
                total += __shfl_xor_sync(FULL, total, 2);
                float share = 1.0f / total;
                int r = (lane >> 2) + 8 * half;
                T *to = out + (u64)(item.start + row + r) * b.hidden + (first_head + head) * WIDTH + (lane & 3) * 2;
                if (r < present) {
#pragma unroll
                    for (int n = 0; n < WIDTH / 8; n++)
                        *(u32 *)(to + n * 8) = pack(rows.sums[n][2 * half] * share, rows.sums[n][2 * half + 1] * share);
                }
            }
        }
    }
}
