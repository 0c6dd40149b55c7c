// The finished tiles of product.cu and product_bytes.cu: a thread's angles for the rotation, and rounded
// results that wait for the next tile. Between its steps the epilogue is applied to them and they are stored.

#define PANEL_LINE 128           // bytes of a row of 64 columns on their way out
#define PANEL (16 * PANEL_LINE)  // of a warp's rows and 64 columns
#define STORE_STEPS 8            // in which a warp stores a tile, four rows of half the columns each

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

// A warp's results of its last tile that are not stored yet: 16 rows.
struct PendingStore {
    u32 held[COLUMNS / 8];  // the right half, until the left one is gone
    u32 from;               // a lane's vector of the next step in shared memory
    uint4 upper, lower;     // what the next step stores, two rows apart: read a step ahead
    T *to;                  // where `upper` goes
    int left;               // columns from there to the end of the row
    int step = STORE_STEPS;
};

// The thread's number, read again. What is made of it would otherwise stay in registers while the tensor
// cores multiply, and the epilogue needs them.
__device__ __forceinline__ u32 thread_again() {
    u32 thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
}

// A thread's upper row of a tile that begins with `tile_row`; its lower one is eight rows further.
__device__ __forceinline__ int own_row(int tile_row, int rank) {
    const u32 thread = thread_again();
    return tile_row + rank * ROWS + thread / 32 * 16 + thread % 32 / 4;
}

// Half of the columns, 120 or 128, to a warp's PANELs at `memory`: two times 64 columns, vectors of eight
// swizzled as in a tile. `pair(i)` gives a thread's two columns of row lane / 4 + 8 (i % 2), block i / 2
// of eight.
template <typename Pair> __device__ __forceinline__ void stage_sums(u32 memory, Pair pair) {
    auto own = [&](int i) { return i < COLUMNS / 8 ? pair(i) : 0u; };
    const u32 lane = thread_again() & 31, row = lane & 15, vector = (lane >> 4) ^ (row & 7);
    const u32 to = memory + row * PANEL_LINE + vector * 16;
#pragma unroll
    for (int j = 0; j < 16; j += 2)
        asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                         (to + j / 8 * PANEL) ^ (j % 8 * 16)),
                     "r"(own(2 * j)), "r"(own(2 * j + 1)), "r"(own(2 * j + 2)), "r"(own(2 * j + 3))
                     : "memory");
    __syncwarp();
}

__device__ __forceinline__ uint4 read_vector(u32 from) {
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(from)
                 : "memory");
    return v;
}
__device__ __forceinline__ void read_ahead(PendingStore &out) {
    out.upper = read_vector(out.from);
    out.lower = read_vector((out.from ^ 2 * 16) + 2 * PANEL_LINE);
}

// A warp's PANELs of those of all warps.
__device__ __forceinline__ u32 own_panels(u32 panels) { return panels + thread_again() / 32 * 2 * PANEL; }

// A lane's vector of the first step: row lane / 16, columns 8 (lane % 16) on.
__device__ __forceinline__ u32 first_vector(u32 memory) {
    const u32 lane = thread_again() & 31, row = lane / 16, vector = lane % 16;
    return memory + vector / 8 * PANEL + row * PANEL_LINE + (vector % 8 ^ row) * 16;
}

// Begins to store a tile whose left half is in shared memory; `to` is its first row and column, which `left`
// columns follow.
__device__ __forceinline__ void begin_store(PendingStore &out, u32 panels, T *to, int outputs, int left) {
    const int thread = thread_again(), column = thread % 16 * 8;
    out.to = to + (thread / 32 * 16 + thread % 32 / 16) * outputs + column;
    out.left = column < COLUMNS / 2 ? left - column : 0;
    out.from = first_vector(own_panels(panels));
    out.step = 0;
    read_ahead(out);
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
__device__ __forceinline__ uint4 apply_epilogue(uint4 v) {
    return make_uint4(apply_epilogue(v.x), apply_epilogue(v.y), apply_epilogue(v.z), apply_epilogue(v.w));
}

__device__ __forceinline__ void store_results(T *to, uint4 v) {
#if RESIDUAL
    // Once for each value, so that no order matters; nothing waits for the old value.
    asm volatile("red.relaxed.gpu.global.add.noftz.v4.f16x2 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x),
                 "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
#else
    *(uint4 *)to = v;
#endif
}

// The next step: four rows of half the columns, two vectors of eight a lane, whose instructions fill each
// other's waits.
__device__ __forceinline__ void store_epilogue(PendingStore &out, u32 panels, int outputs) {
    const uint4 upper = apply_epilogue(out.upper), lower = apply_epilogue(out.lower);
    if (out.left > 0) {
        store_results(out.to, upper);
        store_results(out.to + 2 * outputs, lower);
    }
    out.to += 4 * outputs;
    out.from = (out.from ^ 4 * 16) + 4 * PANEL_LINE;
    out.step++;
    if (out.step == STORE_STEPS / 2) {
        out.to += COLUMNS / 2 - 16 * outputs;
        out.left -= COLUMNS / 2;
        const u32 memory = own_panels(panels);
        out.from = first_vector(memory);
        __syncwarp();
        stage_sums(memory, [&](int i) { return out.held[i]; });
    }
    if (out.step < STORE_STEPS) read_ahead(out);
}

// The share of step `k` of the next tile, so that all of its `steps` have about as much to store.
__device__ __forceinline__ void store_share(PendingStore &out, u32 panels, int k, int steps, int outputs) {
    while (out.step < STORE_STEPS && out.step * steps < (k + 1) * STORE_STEPS)
        store_epilogue(out, panels, outputs);
}

// After a step's products: waits for those of the step before and frees its stage (`empty` is the barrier of
// the first stage), and stores a share of the last tile while the tensor cores work.
template <typename Work>
__device__ __forceinline__ void finish_step(const Work &w, u32 empty, u32 panels, int k, u32 stage, u32 &last,
                                            PendingStore &out) {
    const int thread = threadIdx.x % WARPGROUP;
    wgmma_commit();
    if (k) {
        wgmma_wait<1>();
        if (thread < 2) arrive_remote(empty + last * 8, thread);
    }
    last = stage;
    store_share(out, panels, k, w.steps, w.outputs);
}
