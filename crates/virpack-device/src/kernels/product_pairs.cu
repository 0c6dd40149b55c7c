// y = epilogue(x * weight^T + bias) on the tensor cores of compute capability 9.0 with the accuracy of
// float32, of pairs of float16 (pairs.cuh).
//
// Shapes: x [rows, inputs] and weight [outputs, inputs] as pairs (a tensor map of the highs and one of the
// lows each, boxes of 128 and 64 rows by 64 columns), bias [outputs] float32 or null, y [rows, outputs]
// float32, or pairs with -DPAIRS_OUT=1. Compiled for what follows the product: with -DGELU=1 GELU; with
// -DWIDTH rotary positions on heads of that width in the first `rotated` outputs: positions [rows], table
// [positions, WIDTH / 2] of (cos, sin); with -DRESIDUAL=1 y is added.
//
// Idea: persistent clusters of two blocks, each with 128 rows of the same 128 outputs, so that each reads
// half of the weight's tile and gives it to both. One thread of a block keeps a ring of STAGES steps full by
// bulk copies; two warpgroups multiply 64 rows each (wgmma): highs with highs, then the two mixed products
// into sums of their own, three products of a step for what two of them read. Tensor cores round sums towards
// zero, so the highs' sums of a step are added to the whole by ordinary instructions while the mixed products
// run; the mixed sums are 2^11 smaller and stay. Each value is added up in one order, whatever the batch.
// Groups of GROUP row tiles take all outputs before the next group, so that x stays in the L2 cache and the
// weight streams through it.
//
// Limits: rows a multiple of 256; inputs, outputs and WIDTH of 8, WIDTH at most 128. The last step and the
// last tile may be part empty: copies fill zeros, stores are left out. Sources: CUTLASS's warp-specialized
// kernels (the ring and its barriers across a cluster); PTX ISA 8.x, wgmma fragment layout; DeepGEMM (sums
// promoted step by step).

// The launcher defines ROWS of a block's tile, its COLUMNS, inputs of a STEP, STAGES of the ring, THREADS of
// a block and of a WARPGROUP.
#define LINE (STEP * 2)        // bytes of a row of a stage, of highs or of lows
#define X_BYTES (ROWS * LINE)  // highs, and as many for lows
#define WEIGHT_BYTES (COLUMNS * LINE)
#define STAGE (2 * X_BYTES + 2 * WEIGHT_BYTES)
#define GROUP 8  // tiles of 256 rows that share the weight on its way through L2

// Where things lie in shared memory; `memory` is its address.
#define BARRIERS_AT (STAGES * STAGE)
#define STAGE_FULL(s) (memory + BARRIERS_AT + (s) * 8)
#define STAGE_EMPTY(s) (memory + BARRIERS_AT + (STAGES + (s)) * 8)

typedef Tiles<ROWS, COLUMNS, STEP, GROUP> Work;

// Highs and lows of a matrix.
struct Maps {
    const TensorMap &high, &low;
};

// One thread, the producer: copies a block's x, and its half of the weight's rows to both blocks.
__device__ __forceinline__ void load_tiles_async(const Work &w, const Maps &x, const Maps &weight) {
    const u32 memory = w.memory, share = w.rank * COLUMNS / 2;
    PipelineState<STAGES> p;
    for (int t = w.first; t < w.tiles; t += w.clusters) {
        Tile tile = w.at(t);
        const int row = tile.row + w.rank * ROWS, output = tile.column + share;
        for (int k = 0; k < w.steps; k++, p.advance()) {
            const u32 to = memory + p.stage * STAGE, weights = to + 2 * X_BYTES + share * LINE;
            wait(STAGE_EMPTY(p.stage), p.phase ^ 1);
            arrive_expect_bytes(STAGE_FULL(p.stage), STAGE);
            copy_box_async(to, x.high, k * STEP, row, STAGE_FULL(p.stage));
            copy_box_async(to + X_BYTES, x.low, k * STEP, row, STAGE_FULL(p.stage));
            copy_box_multicast(weights, weight.high, k * STEP, output, STAGE_FULL(p.stage), 3);
            copy_box_multicast(weights + WEIGHT_BYTES, weight.low, k * STEP, output, STAGE_FULL(p.stage), 3);
        }
    }
}

// d [64, 128] = a [64, 16] * b [128, 16]^T (+ d where `add`), laid out as hopper.cuh's.
__device__ __forceinline__ void wgmma_128(float (&d)[64], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," TEN(1)
                     TEN(2) TEN(3) TEN(4) TEN(5) "%60,%61,%62,%63}, %64, %65, p, 1, 1, 0, 0;}"
                 : SUMS_32(0), SUMS_32(32)
                 : "l"(a), "l"(b), "r"(add));
}

__device__ __forceinline__ float apply_epilogue(float v) {
#if GELU
    return gelu(v);
#else
    return v;
#endif
}

// Two neighbours of a row to memory.
__device__ __forceinline__ void store_epilogue(void *y, u64 row, int column, int outputs, float first,
                                               float second) {
#if PAIRS_OUT
    u16 *to = (u16 *)y + row * 2 * outputs + column;
    Pairs pairs = to_pairs(apply_epilogue(first), apply_epilogue(second));
    *(u32 *)to = pairs.high, *(u32 *)(to + outputs) = pairs.low;
#else
    float2 *to = (float2 *)((float *)y + row * outputs + column);
#if RESIDUAL
    float2 before = *to;
    first += before.x, second += before.y;
#endif
    *to = make_float2(apply_epilogue(first), apply_epilogue(second));
#endif
}

// A warpgroup, a consumer: 64 rows of every tile.
__device__ __forceinline__ void multiply_tiles(const Work &w, const float *bias, void *y,
                                               const int *positions, const float2 *table, int rotated) {
    const u32 memory = w.memory;
    const int group = threadIdx.x / WARPGROUP, thread = threadIdx.x % WARPGROUP, lane = thread & 31,
              quad = lane & 3;
    const int first_row = w.rank * ROWS + threadIdx.x / 32 * 16 + lane / 4;
    float d[COLUMNS / 2], mixed[COLUMNS / 2], whole[COLUMNS / 2];
    PipelineState<STAGES> p;
    for (int t = w.first; t < w.tiles; t += w.clusters) {
        Tile tile = w.at(t);
        u32 last = 0;
#pragma unroll
        for (int i = 0; i < COLUMNS / 2; i++) whole[i] = 0.0f;
        for (int k = 0; k < w.steps; k++, p.advance()) {
            const u32 from = memory + p.stage * STAGE;
            const u64 high = tile_descriptor<LINE>(from + group * (ROWS / 2 * LINE)),
                      low = high + (X_BYTES >> 4);
            const u64 weight = tile_descriptor<LINE>(from + 2 * X_BYTES),
                      weight_low = weight + (WEIGHT_BYTES >> 4);
            wait(STAGE_FULL(p.stage), p.phase);
            wgmma_fence();
#pragma unroll
            for (int i = 0; i < STEP / 16; i++) wgmma_128(d, high + 2 * i, weight + 2 * i, i);
            wgmma_commit();
#pragma unroll
            for (int i = 0; i < STEP / 16; i++) wgmma_128(mixed, high + 2 * i, weight_low + 2 * i, k + i);
#pragma unroll
            for (int i = 0; i < STEP / 16; i++) wgmma_128(mixed, low + 2 * i, weight + 2 * i, 1);
            wgmma_commit();
            wgmma_wait<1>();
            if (k && thread < 2) arrive_remote(STAGE_EMPTY(last), thread);
            last = p.stage;
#pragma unroll
            for (int i = 0; i < COLUMNS / 2; i++) whole[i] += d[i];
        }
        wgmma_wait<0>();
        if (thread < 2) arrive_remote(STAGE_EMPTY(last), thread);
        const int row = tile.row + first_row, column = tile.column + 2 * quad;
#pragma unroll
        for (int j = 0; j < COLUMNS / 8; j++) {
            float2 b = make_float2(0.0f, 0.0f);
            if (bias && column + 8 * j < w.outputs) b = *(const float2 *)(bias + column + 8 * j);
#pragma unroll
            for (int i = 0; i < 4; i++)
                whole[4 * j + i] =
                    fmaf(mixed[4 * j + i], 1.0f / LOW_SCALE, whole[4 * j + i]) + (i % 2 ? b.y : b.x);
        }
#if WIDTH
        const int left = rotated - tile.column;
        if (left > 0) {
            const float2 *upper = table + positions[row] * (WIDTH / 2) + quad;
            const float2 *lower = table + positions[row + 8] * (WIDTH / 2) + quad;
#pragma unroll
            for (int i = 0; i < BLOCKS; i++) {
                const int block = block_of_head<COLUMNS>(tile.column, i);
                rotate_blocks(whole, i, upper[4 * block], lower[4 * block], left);
            }
        }
#endif
#pragma unroll
        for (int j = 0; j < COLUMNS / 8; j++) {
            if (column + 8 * j < w.outputs) {
                store_epilogue(y, row, column + 8 * j, w.outputs, whole[4 * j], whole[4 * j + 1]);
                store_epilogue(y, row + 8, column + 8 * j, w.outputs, whole[4 * j + 2], whole[4 * j + 3]);
            }
        }
    }
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(THREADS, 1)
    product_pairs(const __grid_constant__ TensorMap x_high, const __grid_constant__ TensorMap x_low,
                  const __grid_constant__ TensorMap weight_high, const __grid_constant__ TensorMap weight_low,
                  const float *bias, void *y, int rows, int inputs, int outputs, const int *positions,
                  const float2 *table, int rotated) {
    extern __shared__ __align__(1024) unsigned char shared[];
    const Work w(shared, rows, inputs, outputs);
    init_ring<STAGES>(w.memory + BARRIERS_AT);
    // Each warpgroup has the registers of its role.
    if (threadIdx.x < 2 * WARPGROUP) {
        increase_registers<232>();
        multiply_tiles(w, bias, y, positions, table, rotated);
    } else {
        decrease_registers<40>();
        if (threadIdx.x == 2 * WARPGROUP)
            load_tiles_async(w, Maps{x_high, x_low}, Maps{weight_high, weight_low});
        __syncwarp();
    }
    // No block may end while the other still copies to it or arrives at its barriers.
    cluster_sync();
}
