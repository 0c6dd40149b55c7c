// The finished tiles of product.cu and product_bytes.cu: a thread's angles for the rotation, and rounded
// results that wait for the next tile. Between its steps the epilogue is applied to them and they are stored.

#define PANEL_LINE 128           // bytes of a row of 64 columns on their way out
#define PANEL (16 * PANEL_LINE)  // of a warp's rows and 64 columns
#define STORE_STEPS 16           // in which a warp stores a tile, two rows of half the columns each

#if WIDTH
// (cos, sin) of a thread's pair in its two rows, for each block of a head from the tile's first on.
struct Rotation {
    float2 upper[BLOCKS], lower[BLOCKS];
};

__device__ __forceinline__ void load_rotation(Rotation &rotation, const float2 *table, const int *positions,
                                              int column, int quad) {
    const float2 *upper = table + positions[0] * (WIDTH / 2) + quad,
                 *lower = table + positions[8] * (WIDTH / 2) + quad;
#pragma unroll
    for (int i = 0; i < BLOCKS; i++) {
        const int block = block_of_head<COLUMNS>(column, i);
        rotation.upper[i] = upper[4 * block], rotation.lower[i] = lower[4 * block];
    }
}
#endif

// A warp's results of its last tile on their way out: 16 rows.
struct PendingStore {
    u32 held[COLUMNS / 8];  // the right half, until the left one is gone
    u32 memory;             // PANELs of two times 64 columns, vectors of eight swizzled as in a tile
    u32 from;               // a lane's vector of its first step there
    T *to;                  // and where it goes
    int left;               // columns from there to the end of the row
    int step = STORE_STEPS;
};

// Half of the columns, 120 or 128, to shared memory. `pair(i)` gives a thread's two columns of row lane / 4 +
// 8 (i % 2), block i / 2 of eight.
template <typename Pair> __device__ __forceinline__ void stage_sums(u32 memory, Pair pair) {
    auto own = [&](int i) { return i < COLUMNS / 8 ? pair(i) : 0u; };
    const u32 lane = threadIdx.x & 31, row = lane & 15, vector = (lane >> 4) ^ (row & 7);
    const u32 to = memory + row * PANEL_LINE + vector * 16;
#pragma unroll
    for (int j = 0; j < 16; j += 2)
        asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                         (to + j / 8 * PANEL) ^ (j % 8 * 16)),
                     "r"(own(2 * j)), "r"(own(2 * j + 1)), "r"(own(2 * j + 2)), "r"(own(2 * j + 3))
                     : "memory");
    __syncwarp();
}

__device__ __forceinline__ u32 apply_epilogue(u32 sums) {
#if GELU
    float a, b;
    unpack(sums, a, b);
    return pack(gelu(a), gelu(b));
#else
    return sums;
#endif
}

// The next step: two rows of half the columns, eight columns a lane.
__device__ __forceinline__ void store_epilogue(PendingStore &out, int outputs) {
    if (out.step == STORE_STEPS / 2) {
        __syncwarp();
        stage_sums(out.memory, [&](int i) { return out.held[i]; });
    }
    const int row = out.step % 8 * 2, column = out.step / 8 * (COLUMNS / 2);
    u32 from = (out.from ^ row % 8 * 16) + row * PANEL_LINE;
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(from)
                 : "memory");
    v = make_uint4(apply_epilogue(v.x), apply_epilogue(v.y), apply_epilogue(v.z), apply_epilogue(v.w));
#if RESIDUAL
    // Once for each value, so that no order matters; nothing waits for the old value.
    if (column < out.left)
        asm volatile("red.relaxed.gpu.global.add.noftz.v4.f16x2 [%0], {%1, %2, %3, %4};" ::"l"(
                         out.to + row * outputs + column),
                     "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                     : "memory");
#else
    if (column < out.left) *(uint4 *)(out.to + row * outputs + column) = v;
#endif
    out.step++;
}
