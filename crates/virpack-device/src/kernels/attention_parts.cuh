// Shared by the two kernels for compute capability 9.0 (attention_whole.cu, attention_ring.cu): the layout of
// rows in shared memory, products with an operand in registers, softmax, and how results are stored.
//
// A tile of keys or values is rows of COLUMNS values, those of one head or of half a head of 128, as wgmma
// reads them: 16-byte vectors swizzled by row (SWIZZLE_128B, _64B or _32B by the row's bytes). Rows past a
// sequence's end are zeros, never a neighbour's.

// The launcher defines the values of a head's ROW in shared memory (a head of 24 has rows of 32, of which the
// last 16 bytes are zero in queries) and the COLUMNS of a tile.
#define PARTS (ROW / COLUMNS)
#define TILE_VECTORS (COLUMNS / 8)
// A thread's sums of a part.
#define PART_SUMS (WIDTH / PARTS / 2)
// 16-byte vectors of a token's queries, keys or values that a block works on, with what a head's row has
// beyond it.
#define VECTORS (HEADS * ROW / 8)
#define SWIZZLE_MASK (VECTORS < 8 ? VECTORS - 1 : 7)

// Whether a vector is one of the head's own, and where such a one lies in a token's values.
__device__ __forceinline__ bool is_of_head(int vector) {
    return ROW == WIDTH || vector % (ROW / 8) < WIDTH / 8;
}
__device__ __forceinline__ int global_offset(int vector) {
    return (vector - vector / (ROW / 8) * ((ROW - WIDTH) / 8)) * 8;
}

__device__ __forceinline__ int swizzle(int row) { return row / (8 / TILE_VECTORS) & (TILE_VECTORS - 1); }

// Starts to copy (cp.async) `present` rows of `vectors` vectors from `from` on to tiles of ROW_COUNT rows, by
// THREAD_COUNT threads; zeros beyond. A thread keeps its vector; its rows are a multiple of 8 apart, so that
// the swizzle stays the same. What a row in shared memory has beyond a head is what follows it in `from` if
// WITH_NEXT, and is left as it was otherwise.
template <int ROW_COUNT, int THREAD_COUNT, bool WITH_NEXT>
__device__ __forceinline__ void load_tile_async(T *tiles, const T *from, int pitch, int present, int vectors,
                                                int thread) {
    constexpr int apart = THREAD_COUNT / VECTORS;
    const int vector = thread % VECTORS;
    int row = thread / VECTORS;
    const T *source = from + row * pitch + global_offset(vector);
    T *to = tiles + vector / TILE_VECTORS * ROW_COUNT * COLUMNS + row * COLUMNS +
            (vector % TILE_VECTORS ^ swizzle(row)) * 8;
    if (vector >= vectors || !(WITH_NEXT || is_of_head(vector))) return;
    const int end = min(present, ROW_COUNT);
#pragma unroll 4
    for (; row < end; row += apart, to += apart * COLUMNS, source += apart * pitch)
        copy_async(to, source, true);
#pragma unroll 1
    for (; row < ROW_COUNT; row += apart, to += apart * COLUMNS) *(uint4 *)to = make_uint4(0, 0, 0, 0);
}

// The same for a warp's own 16 rows of queries.
__device__ __forceinline__ void load_queries_async(T *own, const T *from, int pitch, int present,
                                                   int vectors) {
    const int lane = threadIdx.x & 31, vector = lane % VECTORS;
    if (vector >= vectors || !is_of_head(vector)) present = 0;
#pragma unroll
    for (int i = 0; i < VECTORS / 2; i++) {
        const int row = lane / VECTORS + i * (32 / VECTORS);
        T *to = own + row * VECTORS * 8 + (vector ^ (row & SWIZZLE_MASK)) * 8;
        if (row < present) copy_async(to, from + row * pitch + global_offset(vector), true);
        else *(uint4 *)to = make_uint4(0, 0, 0, 0);
    }
}

__device__ __forceinline__ void load_query_fragments(u32 (&query)[ROW / 16][4], const T *own, int head) {
    const int lane = threadIdx.x & 31, row = lane & 15;
#pragma unroll
    for (int k = 0; k < ROW / 16; k++)
        load_matrices(query[k], own + row * VECTORS * 8 +
                                    (((head * ROW / 8 + 2 * k) | lane >> 4) ^ (row & SWIZZLE_MASK)) * 8);
}

// Makes what threads wrote to shared memory visible to the matrix units; before the barrier.
__device__ __forceinline__ void fence_async_proxy() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// The low word of wgmma's description of a tile, or of a whole number of 8 rows into it; the high one is the
// same for all. Keys are read along their rows, values down their columns: in both, 8 rows further is the
// stride. Adding 1 moves it by 16 bytes. Half a head of 128 is a tile of its own.
__device__ __forceinline__ u32 tile_descriptor(const T *tile) { return shared_address(tile) >> 4 | 1u << 16; }
#define DESCRIPTOR_HIGH (COLUMNS | (COLUMNS == 64 ? 1u : COLUMNS == 32 ? 2u : 3u) << 30)

// d [64, 16 .. 64] (+)= a [64, 16] from registers * b: [16, columns] down its columns where DOWN, else along
// its rows.
#define WGMMA(SHAPE, SUMS, REGISTERS, OPERANDS, B, ADD, ...)                                                 \
    template <int DOWN>                                                                                      \
    __device__ __forceinline__ void wgmma(float(&d)[SUMS], const u32(&a)[4], u32 b, u32 add) {               \
        asm volatile("{.reg .pred p;\n.reg .b64 b;\n"                                                        \
                     "setp.ne.b32 p, " ADD ", 0;\nmov.b64 b, " B ";\n"                                       \
                     "wgmma.mma_async.sync.aligned." SHAPE "." WGMMA_KIND " {" REGISTERS "}, " OPERANDS ";}" \
                     : __VA_ARGS__                                                                           \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(add), "n"(DOWN),              \
                       "n"(DESCRIPTOR_HIGH));                                                                \
    }
#define SUMS_TO_7 "%0,%1,%2,%3,%4,%5,%6,%7"
#define SUMS_TO_11 SUMS_TO_7 ",%8,%9,%10,%11"
#define SUMS_TO_15 SUMS_TO_11 ",%12,%13,%14,%15"
#define SUMS_TO_27 SUMS_TO_15 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27"
WGMMA("m64n16k16", 8, SUMS_TO_7, "{%8,%9,%10,%11}, b, p, 1, 1, %14", "{%12, %15}", "%13", SUMS_8(0))
WGMMA("m64n24k16", 12, SUMS_TO_11, "{%12,%13,%14,%15}, b, p, 1, 1, %18", "{%16, %19}", "%17", SUMS_8(0),
      SUMS_4(8))
WGMMA("m64n32k16", 16, SUMS_TO_15, "{%16,%17,%18,%19}, b, p, 1, 1, %22", "{%20, %23}", "%21", SUMS_8(0),
      SUMS_8(8))
WGMMA("m64n56k16", 28, SUMS_TO_27, "{%28,%29,%30,%31}, b, p, 1, 1, %34", "{%32, %35}", "%33", SUMS_8(0),
      SUMS_8(8), SUMS_8(16), SUMS_4(24))
WGMMA("m64n64k16", 32, SUMS_TO_27 ",%28,%29,%30,%31", "{%32,%33,%34,%35}, b, p, 1, 1, %38", "{%36, %39}",
      "%37", SUMS_32(0))

// Waits for products, before their sums are read.
template <int N, int R> __device__ __forceinline__ void wait_for_sums(float (&sums)[N][R]) {
    wgmma_commit();
    wgmma_wait<0>();
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < R; i++) asm volatile("" : "+f"(sums[n][i])::"memory");
}

// Scores of 64 rows and N runs of 2 R keys, in tiles of `key_rows` rows. A thread has rows lane / 4 and lane
// / 4 + 8 of its warp's 16, and of every 8 keys two: scores[n][4 j + 2 half + i] is key 2 R n + 8 j + 2 (lane
// % 4) + i.
template <int N, int R>
__device__ __forceinline__ void compute_scores(float (&scores)[N][R], const u32 (&query)[ROW / 16][4],
                                               u32 keys, int key_rows) {
    wgmma_fence();
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int k = 0; k < ROW / 16; k++)
            wgmma<0>(scores[n], query[k],
                     keys + n * R * COLUMNS / 4 + k / (COLUMNS / 16) * key_rows * TILE_VECTORS +
                         k % (COLUMNS / 16) * 2,
                     k > 0);
    wait_for_sums(scores);
}

// Adds ALiBi's bias and takes out the keys from `count` on, in the runs FROM ..; `ahead` is the thread's
// first row less its first key. `slope` is in the units of raw scores.
template <int FROM, int N, int R>
__device__ __forceinline__ void mask_and_bias(float (&scores)[N][R], int count, float ahead, float slope) {
#if ALIBI
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < R; i++) {
            float apart = ahead + (float)((i >> 1 & 1) * 8 - n * 2 * R - i / 4 * 8 - (i & 1));
            scores[n][i] = fmaf(-slope, fabsf(apart), scores[n][i]);
        }
#endif
    // From the last 8 keys back: most sequences end in them.
    const int own = count - (threadIdx.x & 3) * 2;
#pragma unroll
    for (int g = N * R / 4 - 1; g >= FROM * R / 4; g--) {
        if (count >= g * 8 + 8) break;
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (g * 8 + (i & 1) >= own) scores[g / (R / 4)][g % (R / 4) * 4 + i] = NEGATIVE_INFINITY;
    }
}

// The highest of a thread's scores in one of its two rows, or `floor`.
template <int N, int R>
__device__ __forceinline__ float thread_max(const float (&scores)[N][R], int half, float floor) {
    float top[2] = {floor, floor};
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < R; i += 4)
#pragma unroll
            for (int j = 0; j < 2; j++) top[j] = fmaxf(top[j], scores[n][i + 2 * half + j]);
    return fmaxf(top[0], top[1]);
}
__device__ __forceinline__ float row_max(float top) {
    top = fmaxf(top, __shfl_xor_sync(FULL, top, 1));
    return fmaxf(top, __shfl_xor_sync(FULL, top, 2));
}

// The weights 2^(score * scale - shift), as the next wgmma takes them; adds each row's to `total`.
template <int N, int R, int STEPS>
__device__ __forceinline__ void softmax_weights(const float (&scores)[N][R], u32 (&weights)[STEPS][4],
                                                float scale, const float (&shift)[2], float (&total)[2]) {
#pragma unroll
    for (int g = 0; g < 2 * STEPS; g++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            u32 &word = weights[g / 2][g % 2 * 2 + half];
            if (g < N * R / 4) {
                const float *pair = &scores[g / (R / 4)][g % (R / 4) * 4 + 2 * half];
                float low = exp2_fast(fmaf(pair[0], scale, -shift[half]));
                float high = exp2_fast(fmaf(pair[1], scale, -shift[half]));
                total[half] += low + high;
                word = pack(low, high);
            } else {
                word = 0;
            }
        }
}

// sums (+)= weights * values, whose tiles have `key_rows` rows.
template <int STEPS>
__device__ __forceinline__ void accumulate_values(float (&sums)[PARTS][PART_SUMS],
                                                  const u32 (&weights)[STEPS][4], u32 values, int key_rows,
                                                  bool add) {
    wgmma_fence();
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
        for (int p = 0; p < PARTS; p++)
            wgmma<1>(sums[p], weights[s], values + s * 2 * COLUMNS + p * key_rows * TILE_VECTORS,
                     add || s > 0);
    wait_for_sums(sums);
}

__device__ __forceinline__ void swap_words(u32 &low, u32 &high, bool upper, int apart) {
    u32 given = __shfl_xor_sync(FULL, upper ? low : high, apart);
    if (upper) low = given;
    else high = given;
}
// Transposes four lanes' words: lane t ends with word t of each of them.
__device__ __forceinline__ void transpose_words(u32 (&w)[4]) {
    const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) swap_words(w[i], w[i + 1], odd, 1);
#pragma unroll
    for (int i = 0; i < 2; i++) swap_words(w[i], w[i + 2], upper, 2);
}

// 16 bytes at once: of an assignment that follows a choice of lanes the compiler makes four stores.
__device__ __forceinline__ void store_words(T *to, const u32 (&w)[4]) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(w[0]), "r"(w[1]), "r"(w[2]),
                 "r"(w[3])
                 : "memory");
}

// Writes a warp's rows, `present` of its 16, in 16-byte vectors; `to` is the first row.
__device__ __forceinline__ void store_rows(const float (&sums)[PARTS][PART_SUMS], const float (&total)[2],
                                           T *to, int hidden, int present) {
    const int lane = threadIdx.x & 31, row = lane >> 2, t = lane & 3;
    float share[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float whole = total[half] + __shfl_xor_sync(FULL, total[half], 1);
        share[half] = reciprocal_fast(whole + __shfl_xor_sync(FULL, whole, 2));
    }
    to += row * hidden;
#if WIDTH == 16
    u32 w[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
        w[i] = pack(sums[0][i % 2 * 4 + i / 2 * 2] * share[i / 2],
                    sums[0][i % 2 * 4 + i / 2 * 2 + 1] * share[i / 2]);
    transpose_words(w);
    if (row + t / 2 * 8 < present) store_words(to + t / 2 * 8 * hidden + t % 2 * 8, w);
#else
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int q = 0; q < ROW / 32; q++) {
            u32 w[4] = {0, 0, 0, 0};
#pragma unroll
            for (int i = 0; i < 4 && q * 4 + i < WIDTH / 8; i++) {
                const float *pair = &sums[q * 32 / COLUMNS][(q * 4 + i) % TILE_VECTORS * 4 + 2 * half];
                w[i] = pack(pair[0] * share[half], pair[1] * share[half]);
            }
            transpose_words(w);
            if (row + half * 8 < present && is_of_head(t))
                store_words(to + half * 8 * hidden + (q * 4 + t) * 8, w);
        }
#endif
}
