// What the two kernels for compute capability 9.0 share (attention_whole.cu, attention_ring.cu): how rows lie in shared
// memory, products with an operand in registers, softmax, and the way of the results to memory.
//
// A tile of keys or values is rows of COLUMNS values, those of one head or of half a head of 128, as wgmma reads them:
// 16-byte pieces exchanged by row (SWIZZLE_128B, _64B or _32B by the row's bytes). Rows past a sequence's
// end are zeros, never a neighbour's.

// The launcher defines the values of a head's ROW in shared memory (a head of 24 has rows of 32, of which the last piece is zero in
// queries) and the COLUMNS of a tile.
#define PARTS (ROW / COLUMNS)
#define CHUNKS (COLUMNS / 8)
// A thread's sums of a part.
#define PART_SUMS (WIDTH / PARTS / 2)
// 16-byte pieces of a token's queries, keys or values that a block works on, with what a head's row has beyond it.
#define PIECES (HEADS * ROW / 8)
#define SWAP (PIECES < 8 ? PIECES - 1 : 7)

// Whether a piece is one of the head's own, and where such a one lies in a token's values.
__device__ __forceinline__ bool is_own(int piece) { return ROW == WIDTH || piece % (ROW / 8) < WIDTH / 8; }
__device__ __forceinline__ int place(int piece) { return (piece - piece / (ROW / 8) * ((ROW - WIDTH) / 8)) * 8; }

__device__ __forceinline__ int exchange(int row) { return row / (8 / CHUNKS) & (CHUNKS - 1); }

// Starts to copy (cp.async) `present` rows of `pieces` pieces from `from` on to tiles of ROOM rows, by TEAM threads; zeros
// beyond. A thread keeps its piece; its rows are a multiple of 8 apart, so that the exchange stays the same.
template <int ROOM, int TEAM>
__device__ __forceinline__ void bring(T *tiles, const T *from, int pitch, int present, int pieces, int member) {
    constexpr int apart = TEAM / PIECES;
    const int piece = member % PIECES;
    int row = member / PIECES;
    const T *source = from + row * pitch + place(piece);
    T *to = tiles + piece / CHUNKS * ROOM * COLUMNS + row * COLUMNS + (piece % CHUNKS ^ exchange(row)) * 8;
    const int end = piece < pieces && is_own(piece) ? min(present, ROOM) : 0;
#pragma unroll 4
    for (; row < end; row += apart, to += apart * COLUMNS, source += apart * pitch) copy_async(to, source, true);
#pragma unroll 1
    for (; row < ROOM; row += apart, to += apart * COLUMNS) *(uint4 *)to = make_uint4(0, 0, 0, 0);
}

// The same for a warp's own 16 rows of queries.
__device__ __forceinline__ void bring_queries(T *own, const T *from, int pitch, int present, int pieces) {
    const int lane = threadIdx.x & 31, piece = lane % PIECES;
    if (piece >= pieces || !is_own(piece)) present = 0;
#pragma unroll
    for (int i = 0; i < PIECES / 2; i++) {
        const int row = lane / PIECES + i * (32 / PIECES);
        T *to = own + row * PIECES * 8 + (piece ^ (row & SWAP)) * 8;
        if (row < present) copy_async(to, from + row * pitch + place(piece), true);
        else *(uint4 *)to = make_uint4(0, 0, 0, 0);
    }
}

__device__ __forceinline__ void load_queries(u32 (&query)[ROW / 16][4], const T *own, int head) {
    const int lane = threadIdx.x & 31, row = lane & 15;
#pragma unroll
    for (int k = 0; k < ROW / 16; k++)
        load_matrices(query[k], own + row * PIECES * 8 + (((head * ROW / 8 + 2 * k) | lane >> 4) ^ (row & SWAP)) * 8);
}

// What threads wrote to shared memory, for the matrix units; before the barrier.
__device__ __forceinline__ void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// The low word of wgmma's description of a tile, or of a whole number of 8 rows into it; the high one is the same for
// all. Keys are read along their rows, values down their columns: in both, 8 rows further is the stride. Adding 1 moves
// it by 16 bytes. Half a head of 128 is a tile of its own.
__device__ __forceinline__ u32 describe(const T *tile) { return shared_address(tile) >> 4 | 1u << 16; }
#define LAYOUT (COLUMNS | (COLUMNS == 64 ? 1u : COLUMNS == 32 ? 2u : 3u) << 30)

// d [64, 16 .. 64] (+)= a [64, 16] from registers * b: [16, columns] down its columns where DOWN, else along its rows.
#define PRODUCT(SHAPE, SUMS, PLACES, OPERANDS, B, ADD, ...)                                                            \
    template <int DOWN> __device__ __forceinline__ void product(float (&d)[SUMS], const u32 (&a)[4], u32 b, u32 add) { \
        asm volatile("{.reg .pred p;\n.reg .b64 b;\n"                                                                \
                     "setp.ne.b32 p, " ADD ", 0;\nmov.b64 b, " B ";\n"                                                 \
                     "wgmma.mma_async.sync.aligned." SHAPE "." WGMMA_KIND " {" PLACES "}, " OPERANDS ";}"              \
                     : __VA_ARGS__                                                                                     \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(add), "n"(DOWN), "n"(LAYOUT));          \
    }
#define PLACES_TO_7 "%0,%1,%2,%3,%4,%5,%6,%7"
#define PLACES_TO_11 PLACES_TO_7 ",%8,%9,%10,%11"
#define PLACES_TO_15 PLACES_TO_11 ",%12,%13,%14,%15"
#define PLACES_TO_27 PLACES_TO_15 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27"
PRODUCT("m64n16k16", 8, PLACES_TO_7, "{%8,%9,%10,%11}, b, p, 1, 1, %14", "{%12, %15}", "%13", SUMS_8(0))
PRODUCT("m64n24k16", 12, PLACES_TO_11, "{%12,%13,%14,%15}, b, p, 1, 1, %18", "{%16, %19}", "%17", SUMS_8(0), SUMS_4(8))
PRODUCT("m64n32k16", 16, PLACES_TO_15, "{%16,%17,%18,%19}, b, p, 1, 1, %22", "{%20, %23}", "%21", SUMS_8(0), SUMS_8(8))
PRODUCT("m64n56k16", 28, PLACES_TO_27, "{%28,%29,%30,%31}, b, p, 1, 1, %34", "{%32, %35}", "%33", SUMS_8(0), SUMS_8(8),
        SUMS_8(16), SUMS_4(24))
PRODUCT("m64n64k16", 32, PLACES_TO_27 ",%28,%29,%30,%31", "{%32,%33,%34,%35}, b, p, 1, 1, %38", "{%36, %39}", "%37",
        SUMS_32(0))

// Waits for products, before their sums are looked at.
template <int N, int R> __device__ __forceinline__ void settle(float (&sums)[N][R]) {
    products_commit();
    products_wait<0>();
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < R; i++) asm volatile("" : "+f"(sums[n][i])::"memory");
}

// Scores of 64 rows and N runs of 2 R keys, in tiles of `room` rows. A thread has rows lane / 4 and lane / 4 + 8 of its
// warp's 16, and of every 8 keys two: scores[n][4 j + 2 half + i] is key 2 R n + 8 j + 2 (lane % 4) + i.
template <int N, int R>
__device__ __forceinline__ void score(float (&scores)[N][R], const u32 (&query)[ROW / 16][4], u32 keys, int room) {
    products_begin();
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int k = 0; k < ROW / 16; k++)
            product<0>(scores[n], query[k],
                       keys + n * R * COLUMNS / 4 + k / (COLUMNS / 16) * room * CHUNKS + k % (COLUMNS / 16) * 2, k > 0);
    settle(scores);
}

// Adds ALiBi's bias and takes out the keys from `count` on, in the runs FROM ..; `ahead` is the thread's first row
// less its first key. `slope` is in the units of raw scores.
template <int FROM, int N, int R>
__device__ __forceinline__ void adjust(float (&scores)[N][R], int count, float ahead, float slope) {
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

// The largest of a thread's scores in one of its two rows, or `floor`.
template <int N, int R> __device__ __forceinline__ float largest(const float (&scores)[N][R], int half, float floor) {
    float top[2] = {floor, floor};
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int i = 0; i < R; i += 4)
#pragma unroll
            for (int j = 0; j < 2; j++) top[j] = fmaxf(top[j], scores[n][i + 2 * half + j]);
    return fmaxf(top[0], top[1]);
}
__device__ __forceinline__ float largest_of_row(float top) {
    top = fmaxf(top, __shfl_xor_sync(FULL, top, 1));
    return fmaxf(top, __shfl_xor_sync(FULL, top, 2));
}

// The weights 2^(score * scale - shift), as the next product takes them; adds each row's to `total`.
template <int N, int R, int STEPS>
__device__ __forceinline__ void weigh(const float (&scores)[N][R], u32 (&weights)[STEPS][4], float scale,
                                      const float (&shift)[2], float (&total)[2]) {
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

// sums (+)= weights * values, whose tiles have `room` rows.
template <int STEPS>
__device__ __forceinline__ void sum_values(float (&sums)[PARTS][PART_SUMS], const u32 (&weights)[STEPS][4],
                                           u32 values, int room, bool add) {
    products_begin();
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
        for (int p = 0; p < PARTS; p++)
            product<1>(sums[p], weights[s], values + s * 2 * COLUMNS + p * room * CHUNKS, add || s > 0);
    settle(sums);
}

__device__ __forceinline__ void exchange_words(u32 &low, u32 &high, bool upper, int apart) {
    u32 given = __shfl_xor_sync(FULL, upper ? low : high, apart);
    if (upper) low = given; else high = given;
}
// Four lanes' words among themselves: lane t ends with the word t of each of them.
__device__ __forceinline__ void turn(u32 (&w)[4]) {
    const bool odd = threadIdx.x & 1, upper = threadIdx.x & 2;
#pragma unroll
    for (int i = 0; i < 4; i += 2) exchange_words(w[i], w[i + 1], odd, 1);
#pragma unroll
    for (int i = 0; i < 2; i++) exchange_words(w[i], w[i + 2], upper, 2);
}

// Writes a warp's rows, `present` of its 16, in 16-byte pieces; `to` is the first row.
__device__ __forceinline__ void write_rows(const float (&sums)[PARTS][PART_SUMS], const float (&total)[2], T *to,
                                           int hidden, int present) {
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
        w[i] = pack(sums[0][i % 2 * 4 + i / 2 * 2] * share[i / 2], sums[0][i % 2 * 4 + i / 2 * 2 + 1] * share[i / 2]);
    turn(w);
    if (row + t / 2 * 8 < present)
        *(uint4 *)(to + t / 2 * 8 * hidden + t % 2 * 8) = make_uint4(w[0], w[1], w[2], w[3]);
#else
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int q = 0; q < ROW / 32; q++) {
            u32 w[4] = {0, 0, 0, 0};
#pragma unroll
            for (int i = 0; i < 4 && q * 4 + i < WIDTH / 8; i++) {
                const float *pair = &sums[q * 32 / COLUMNS][(q * 4 + i) % CHUNKS * 4 + 2 * half];
                w[i] = pack(pair[0] * share[half], pair[1] * share[half]);
            }
            turn(w);
            if (row + half * 8 < present && is_own(t))
                *(uint4 *)(to + half * 8 * hidden + (q * 4 + t) * 8) = make_uint4(w[0], w[1], w[2], w[3]);
        }
#endif
}
