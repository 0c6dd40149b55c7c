// Varlen attention in one pass on the matrix units, 16-bit floats, rotary applied on the way in.
//
// Shapes: qkv [tokens, 3 hidden] (queries, keys, values), table [positions, WIDTH / 2] of (cos, sin) or null,
// slopes [heads] or null (ALiBi), out [tokens, hidden]. Compiled for one head width (-DWIDTH) and one number of
// heads a block (-DHEADS). Idea: FlashAttention-2 (Dao 2023): online softmax, scores and sums in float32, the
// weights handed to the second product in registers. A block takes one item (rows of one sequence) and HEADS
// heads; it keeps `capacity` keys and values in shared memory, so a short sequence is read and rotated once and its
// 16-row groups are shared out among the warps with no wait between them; a longer one passes through in
// chunks. mma.sync m16n8k16, so sm_80 and up. Limits: WIDTH a multiple of 8 up to 128, even, 16-byte aligned heads
// (8-byte for 24, which is padded to 32 with zeros).

#define DEPTH ((WIDTH + 15) / 16 * 16)
// A row in shared memory: 16 bytes of padding put the 8 rows of an ldmatrix in different banks.
#define STRIDE (DEPTH + 8)
#define HALF (WIDTH / 2)
// Values a thread moves at once.
#define PIECE (HALF % 8 == 0 ? 8 : 4)
// Keys of one softmax step.
#define STEP 64

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

// PIECE values, 8 or 16 bytes.
struct Piece { u32 words[PIECE / 2]; };
__device__ __forceinline__ Piece load_piece(const T *p) {
    Piece r;
    if (PIECE == 8) *(uint4 *)r.words = *(const uint4 *)p; else *(uint2 *)r.words = *(const uint2 *)p;
    return r;
}
__device__ __forceinline__ void store_piece(T *p, const Piece &r) {
    if (PIECE == 8) *(uint4 *)p = *(const uint4 *)r.words; else *(uint2 *)p = *(const uint2 *)r.words;
}

// Rotates PIECE pairs: `low` holds the first half's values, `high` the second half's, `turns` their (cos, sin).
__device__ __forceinline__ void rotate(Piece &low, Piece &high, const float2 *turns) {
#pragma unroll
    for (int i = 0; i < PIECE / 2; i++) {
        float4 t = *(const float4 *)(turns + 2 * i);
        float a0, a1, b0, b1;
        unpack(low.words[i], a0, a1);
        unpack(high.words[i], b0, b1);
        low.words[i] = pack(a0 * t.x - b0 * t.y, a1 * t.z - b1 * t.w);
        high.words[i] = pack(b0 * t.x + a0 * t.y, b1 * t.z + a1 * t.w);
    }
}

// Rows `first .. first + count` of queries or keys to shared memory, rotated; `from` is the sequence's row 0,
// `member` of `team` threads.
__device__ __forceinline__ void bring_rotated(T *to, const T *from, int pitch, const float2 *table, int first,
                                              int count, int member, int team) {
    const int pieces = HALF / PIECE;
#pragma unroll 2
    for (int i = member; i < count * pieces; i += team) {
        int row = i / pieces, c = i % pieces * PIECE;
        const T *at = from + (u64)(first + row) * pitch + c;
        Piece low = load_piece(at), high = load_piece(at + HALF);
        if (table) rotate(low, high, table + (first + row) * HALF + c);
        store_piece(to + row * STRIDE + c, low);
        store_piece(to + row * STRIDE + c + HALF, high);
    }
}

// Values to shared memory; rows past `count` up to the next multiple of 16 are zeroed: a weight of 0 times what
// lay there before could be NaN.
__device__ __forceinline__ void bring_values(T *to, const T *from, int pitch, int first, int count) {
    const int pieces = WIDTH / PIECE;
    int padded = (count + 15) & ~15;
#pragma unroll 2
    for (int i = threadIdx.x; i < padded * pieces; i += blockDim.x) {
        int row = i / pieces, c = i % pieces * PIECE;
        Piece v = {};
        if (row < count) v = load_piece(from + (u64)(first + row) * pitch + c);
        store_piece(to + row * STRIDE + c, v);
    }
}

struct Rows {
    float sums[DEPTH / 8][4];
    float highest[2], total[2];
};

// One softmax step: `count` (at most STEP) keys at `keys` and `values`, numbered from `first_key`.
__device__ __forceinline__ void step(Rows &rows, const u32 (&query)[DEPTH / 16][4], const T *keys, const T *values,
                                     int count, int first_key, int row, float scale, float slope) {
    int lane = threadIdx.x & 31;
    float scores[STEP / 8][4];
#pragma unroll
    for (int g = 0; g < STEP / 16; g++) {
#pragma unroll
        for (int i = 0; i < 4; i++) scores[2 * g][i] = scores[2 * g + 1][i] = 0.0f;
        if (g * 16 < count) {
            const T *at = keys + (g * 16 + (lane >> 4) * 8 + (lane & 7)) * STRIDE + ((lane >> 3) & 1) * 8;
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++) {
                u32 b[4];
                load_matrices(b, at + k * 16);
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
            const T *at = values + (g * 16 + ((lane >> 3) & 1) * 8 + (lane & 7)) * STRIDE + (lane >> 4) * 8;
#pragma unroll
            for (int n = 0; n < DEPTH / 16; n++) {
                u32 b[4];
                load_matrices_transposed(b, at + n * 16);
                multiply(rows.sums[2 * n], weights, b[0], b[1]);
                multiply(rows.sums[2 * n + 1], weights, b[2], b[3]);
            }
        }
    }
}

// Shared memory: keys [HEADS][capacity][STRIDE], values the same, then 16 rows a warp for queries and results.
extern "C" __global__ void __launch_bounds__(THREADS) attention(const T *qkv, const Item *items, const float2 *table,
                                                                const float *slopes, T *out, int heads,
                                                                int capacity, float scale) {
    extern __shared__ __align__(16) T memory[];
    const int lane = threadIdx.x & 31, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int hidden = heads * WIDTH, pitch = 3 * hidden, first_head = blockIdx.y * HEADS;
    const int block_heads = min(HEADS, heads - first_head);
    const Item item = items[blockIdx.x];
    const T *sequence = qkv + (u64)item.start * pitch + first_head * WIDTH;
    T *keys = memory, *values = memory + HEADS * capacity * STRIDE;
    T *own = memory + 2 * HEADS * capacity * STRIDE + warp * 16 * STRIDE;

    if (DEPTH != WIDTH) {
        // The padding columns of queries, keys and values stay zero from here on.
        for (int i = threadIdx.x; i < 2 * HEADS * capacity + warps * 16; i += blockDim.x)
#pragma unroll
            for (int c = WIDTH; c < DEPTH; c++) memory[i * STRIDE + c] = 0;
        __syncthreads();
    }

    const int groups = (item.rows + 15) / 16, chunks = (item.length + capacity - 1) / capacity;
    const int tasks = groups * block_heads, rounds = (tasks + warps - 1) / warps;
    for (int round = 0; round < rounds; round++) {
        int task = round * warps + warp;
        bool busy = task < tasks;
        int head = busy ? task / groups : 0, row = item.row + (busy ? task % groups : 0) * 16;
        int present = min(16, item.row + item.rows - row);
        u32 query[DEPTH / 16][4];
        Rows rows;
        if (busy) {
            bring_rotated(own, sequence + head * WIDTH, pitch, table, row, present, lane, 32);
            __syncwarp();
#pragma unroll
            for (int k = 0; k < DEPTH / 16; k++)
                load_matrices(query[k], own + (lane & 15) * STRIDE + k * 16 + (lane >> 4) * 8);
#pragma unroll
            for (int n = 0; n < DEPTH / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) rows.sums[n][i] = 0.0f;
            rows.highest[0] = rows.highest[1] = NEGATIVE_INFINITY;
            rows.total[0] = rows.total[1] = 0.0f;
        }
        float slope = slopes && busy ? slopes[first_head + head] * 1.44269504088896f / scale : 0.0f;
        for (int chunk = 0; chunk < chunks; chunk++) {
            int first = chunk * capacity, count = min(capacity, item.length - first);
            if (round == 0 || chunks > 1) {
                __syncthreads();
                for (int h = 0; h < block_heads; h++) {
                    const T *from = sequence + h * WIDTH + hidden;
                    bring_rotated(keys + h * capacity * STRIDE, from, pitch, table, first, count, threadIdx.x,
                                  blockDim.x);
                    bring_values(values + h * capacity * STRIDE, from + hidden, pitch, first, count);
                }
                __syncthreads();
            }
            if (busy) {
                const T *k = keys + head * capacity * STRIDE, *v = values + head * capacity * STRIDE;
                for (int s = 0; s < count; s += STEP)
                    step(rows, query, k + s * STRIDE, v + s * STRIDE, min(STEP, count - s), first + s,
                         row + (lane >> 2), scale, slope);
            }
        }
        if (busy) {
            // Through shared memory, so that rows leave whole.
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float total = rows.total[half];
                total += __shfl_xor_sync(FULL, total, 1);
                total += __shfl_xor_sync(FULL, total, 2);
                float share = 1.0f / total;
                T *to = own + ((lane >> 2) + 8 * half) * STRIDE + (lane & 3) * 2;
#pragma unroll
                for (int n = 0; n < WIDTH / 8; n++)
                    *(u32 *)(to + n * 8) = pack(rows.sums[n][2 * half] * share, rows.sums[n][2 * half + 1] * share);
            }
            __syncwarp();
            const int pieces = WIDTH / PIECE;
            T *to = out + (u64)(item.start + row) * hidden + (first_head + head) * WIDTH;
            for (int i = lane; i < present * pieces; i += 32)
                store_piece(to + (u64)(i / pieces) * hidden + i % pieces * PIECE,
                            load_piece(own + i / pieces * STRIDE + i % pieces * PIECE));
            __syncwarp();
        }
    }
}
