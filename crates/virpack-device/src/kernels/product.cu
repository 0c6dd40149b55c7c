// y = epilogue(x * weight^T + bias) on the tensor cores of compute capability 9.0, 16-bit floats, float32
// sums.
//
// Shapes: x [rows, inputs], weight [outputs, inputs] (tensor maps, boxes of 128 rows by 64 columns), bias
// [outputs], y [rows, outputs]. Compiled for 240 or 256 outputs a tile (-DCOLUMNS) and for what follows the
// product: with -DGELU=1 GELU; with -DWIDTH rotary positions on heads of that width in the first `rotated`
// outputs (queries and keys), in float32 before the one rounding: positions [rows], table [positions, WIDTH /
// 2] of (cos, sin). With -DNORMED=1 a layer norm goes before it, which `fold` (norm.cu) has put into weight
// and bias but for the rows' deviations (row_scales.cuh).
//
// Idea: persistent clusters of two blocks, each with 128 rows of the same COLUMNS outputs, so that each reads
// half of the weight's tile and gives it to both. One thread of a block keeps a ring of STAGES steps full by
// bulk copies; two warpgroups multiply 64 rows each (wgmma). A warp's rounded sums (16 rows) wait for the
// next tile, the left half in shared memory, the right half in registers; while the tensor cores work on a
// step of that tile, the warp applies the epilogue to some of them and stores them, which is where GELU's
// time goes. Groups of GROUP row tiles take all outputs before the next group, so that x stays in the L2
// cache and the weight streams through it. Deviations are measured by the three warps that have nothing else
// to do, of all blocks together, eight rows at a time in the order in which they are needed; the warpgroup
// that finishes a tile first waits for its rows' (never long: the first are there before the first sums).
//
// Limits: rows a multiple of 256; inputs, outputs and WIDTH of 8, WIDTH at most 128. The last step and the
// last tile may be part empty: copies fill zeros, stores are left out. Sources: CUTLASS's warp-specialized
// kernels (the ring and its barriers across a cluster); PTX ISA 8.x, wgmma fragment layout.

// The launcher defines ROWS of a block's tile, its COLUMNS, inputs of a STEP, STAGES of the ring, products of
// 16 inputs in the last step (its TAIL), tiles with their BIASES in memory at once (those in flight and the
// one before them), THREADS of a block and of a WARPGROUP.
#define LINE (STEP * 2)                  // bytes of a row of a stage
#define STAGE ((ROWS + COLUMNS) * LINE)  // bytes
#define GROUP 8                          // tiles of 256 rows that share the weight on its way through L2

// Where things lie in shared memory; `memory` is its address.
#define OUT_AT (STAGES * STAGE)
#define BIAS_AT (OUT_AT + 2 * WARPGROUP / 32 * 2 * PANEL)
#define BARRIERS_AT (BIAS_AT + BIASES * COLUMNS * 2)
#define STAGE_FULL(s) (memory + BARRIERS_AT + (s) * 8)
#define STAGE_EMPTY(s) (memory + BARRIERS_AT + (STAGES + (s)) * 8)

typedef Tiles<ROWS, COLUMNS, STEP, GROUP> Work;

// One thread, the producer: copies a block's x, its half of the weight's rows to both blocks, and the bias.
__device__ __forceinline__ void load_tiles_async(const Work &w, const TensorMap &x, const TensorMap &weight,
                                                 const T *bias) {
    const u32 memory = w.memory;
    PipelineState<STAGES> p;
    int number = 0;
    for (int t = w.first; t < w.tiles; t += w.clusters, number++) {
        Tile tile = w.at(t);
        for (int k = 0; k < w.steps; k++, p.advance()) {
            u32 to = memory + p.stage * STAGE, share = w.rank * COLUMNS / 2;
            wait(STAGE_EMPTY(p.stage), p.phase ^ 1);
            u32 bias_bytes = k == 0 ? min(COLUMNS, w.outputs - tile.column) * 2 : 0;
            arrive_expect_bytes(STAGE_FULL(p.stage), STAGE + bias_bytes);
            copy_box_async(to, x, k * STEP, tile.row + w.rank * ROWS, STAGE_FULL(p.stage));
            copy_box_multicast(to + ROWS * LINE + share * LINE, weight, k * STEP, tile.column + share,
                               STAGE_FULL(p.stage), 3);
            if (bias_bytes)
                copy_bytes_async(memory + BIAS_AT + number % BIASES * COLUMNS * 2, bias + tile.column,
                                 bias_bytes, STAGE_FULL(p.stage));
        }
    }
}

// A step of a warpgroup's tile, of COUNT products of 16 inputs: asks for them, frees the stage before it, and
// stores some of the last tile meanwhile.
template <int COUNT>
__device__ __forceinline__ void multiply_step(const Work &w, float (&d)[COLUMNS / 2], int k,
                                              PipelineState<STAGES> &p, u32 &last, PendingStore &out) {
    const u32 memory = w.memory, stage = memory + p.stage * STAGE;
    u64 a = tile_descriptor<LINE>(stage + threadIdx.x / WARPGROUP * (ROWS / 2 * LINE));
    u64 b = tile_descriptor<LINE>(stage + ROWS * LINE);
    wait(STAGE_FULL(p.stage), p.phase);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < COUNT; i++) wgmma(d, a + 2 * i, b + 2 * i, i ? 1 : k);
    finish_step(w, STAGE_EMPTY(0), memory + OUT_AT, k, p.stage, last, out);
    p.advance();
}

// A warpgroup, a consumer: 64 rows of every tile.
__device__ __forceinline__ void multiply_tiles(const Work &w, const Norm &norm, T *y, const int *positions,
                                               const float2 *table, int rotated) {
    const u32 memory = w.memory;
    float d[COLUMNS / 2];
    PendingStore out;
    PipelineState<STAGES> p;
    int number = 0;
    for (int t = w.first; t < w.tiles; t += w.clusters, number++) {
        Tile tile = w.at(t);
        u32 last = 0;
#if NORMED
        RowScales scales = read_row_scales(norm.scales + own_row(tile.row, w.rank));
#endif
        // A branch between the products of one loop would cost more than a short last step saves.
        constexpr bool short_last = TAIL < STEP / 16;
        for (int k = 0; k < w.steps - short_last; k++) multiply_step<STEP / 16>(w, d, k, p, last, out);
        if (short_last) multiply_step<TAIL>(w, d, w.steps - 1, p, last, out);
        const int thread = thread_again(), row = own_row(tile.row, w.rank), quad = thread & 3;
#if WIDTH
        Rotation rotation;
        int left = rotated - tile.column;
        if (left > 0) load_rotation(rotation, table, positions + row, tile.column, quad);
#endif
#if NORMED
        while (!are_ready(scales, norm.launch)) scales = read_row_scales(norm.scales + row);
        const float upper = __uint_as_float((u32)scales.upper), lower = __uint_as_float((u32)scales.lower);
#else
        const float upper = 1.0f, lower = 1.0f;
#endif
        wgmma_wait<0>();
        if (thread % WARPGROUP < 2) arrive_remote(STAGE_EMPTY(last), thread % WARPGROUP);
        const u32 bias = memory + BIAS_AT + (number % BIASES * COLUMNS + 2 * quad) * 2;
#pragma unroll
        for (int j = 0; j < COLUMNS / 8; j++) {
            u32 both;
            float b0, b1;
            asm volatile("ld.shared.u32 %0, [%1];" : "=r"(both) : "r"(bias + 16 * j));
            unpack(both, b0, b1);
            d[4 * j] = fmaf(d[4 * j], upper, b0), d[4 * j + 1] = fmaf(d[4 * j + 1], upper, b1);
            d[4 * j + 2] = fmaf(d[4 * j + 2], lower, b0), d[4 * j + 3] = fmaf(d[4 * j + 3], lower, b1);
        }
#if WIDTH
        if (left > 0) {
#pragma unroll
            for (int i = 0; i < BLOCKS; i++) rotate_blocks(d, i, rotation.upper[i], rotation.lower[i], left);
        }
#endif
        __syncwarp();
        stage_sums(own_panels(memory + OUT_AT), [&](int i) { return pack(d[2 * i], d[2 * i + 1]); });
#pragma unroll
        for (int i = 0; i < COLUMNS / 8; i++)
            out.held[i] = pack(d[COLUMNS / 4 + 2 * i], d[COLUMNS / 4 + 2 * i + 1]);
        begin_store(out, memory + OUT_AT, y + (u64)(tile.row + w.rank * ROWS) * w.outputs + tile.column,
                    w.outputs, w.outputs - tile.column);
    }
    while (out.step < STORE_STEPS) store_epilogue(out, memory + OUT_AT, w.outputs);
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(THREADS, 1)
    product(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap weight, const T *bias,
            T *y, int rows, int inputs, int outputs, const int *positions, const float2 *table, int rotated,
            const T *normed, u64 *scales, u32 *taken, u32 launch, float eps) {
    extern __shared__ __align__(1024) unsigned char shared[];
    const Work w(shared, rows, inputs, outputs);
    const Norm norm{normed, scales, taken, launch, eps};
    if (NORMED && blockIdx.x == 0 && threadIdx.x == 0) taken[~launch & 1] = 0;
    init_ring<STAGES>(w.memory + BARRIERS_AT);
    // Each warpgroup has the registers of its role.
    if (threadIdx.x < 2 * WARPGROUP) {
        increase_registers<232>();
        multiply_tiles(w, norm, y, positions, table, rotated);
    } else {
        decrease_registers<40>();
        if (threadIdx.x == 2 * WARPGROUP) load_tiles_async(w, x, weight, bias);
#if NORMED
        if (threadIdx.x >= 2 * WARPGROUP + 32) compute_row_scales(norm, rows, inputs);
#endif
        __syncwarp();
    }
    // No block may end while the other still copies to it or arrives at its barriers.
    cluster_sync();
}
