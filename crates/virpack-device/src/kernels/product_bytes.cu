// y = epilogue(x * weight^T * scales + bias) on the tensor cores of compute capability 9.0: int8 operands,
// integer sums, results in 16 bits.
//
// Shapes: x [rows, inputs] and weight [outputs, inputs] (tensor maps of bytes, boxes of 128 rows by 128
// columns), row_scales float32, `pitch` values from one of x's rows to the next, scales [outputs] bfloat16,
// bias [outputs], y [rows, outputs]. Compiled for 240 or 256 outputs a tile (-DCOLUMNS) and for what follows
// the product: with -DGELU=1 GELU; with -DRESIDUAL=1 it is added to y; with -DWIDTH rotary positions on heads
// of that width in the first `rotated` outputs, in float32 before the one rounding: positions [rows], table
// [positions, WIDTH / 2] of (cos, sin).
//
// Idea: product.cu's, whose lines of 128 bytes hold twice as many inputs here: persistent clusters of two
// blocks, a ring of STAGES steps, two warpgroups that multiply 64 rows each, a tile's rounded results
// finished and stored between the steps of the next. Integer sums are exact, so their order is no matter. A
// tile has STAGES steps at least (copies past the end fill zeros), so that two places for scales and biases
// are enough: a tile's replace those of the one before the last, which all have begun the next one after.
//
// Limits: float16 (residuals are added in memory); rows a multiple of 256; inputs a multiple of 16, outputs
// and WIDTH of 8, WIDTH at most 128. The last step and the last tile may be part empty. Sources: as
// product.cu's; PTX ISA 8.x, wgmma .s8 and vectors of red.

// The launcher defines ROWS of a block's tile, its COLUMNS, inputs of a STEP, STAGES of the ring, THREADS of
// a block and of a WARPGROUP.
#define LINE STEP                        // bytes of a row of a stage
#define STAGE ((ROWS + COLUMNS) * LINE)  // bytes
#define PARAMETERS (COLUMNS * 4)         // bytes of a tile's scales and biases
#define GROUP 8                          // tiles of 256 rows that share the weight on its way through L2

// Where things lie in shared memory; `memory` is its address.
#define OUT_AT (STAGES * STAGE)
#define PARAMETERS_AT (OUT_AT + 2 * WARPGROUP / 32 * 2 * PANEL)
#define BARRIERS_AT (PARAMETERS_AT + 2 * PARAMETERS)
#define STAGE_FULL(s) (memory + BARRIERS_AT + (s) * 8)
#define STAGE_EMPTY(s) (memory + BARRIERS_AT + (STAGES + (s)) * 8)

typedef Tiles<ROWS, COLUMNS, STEP, GROUP> Work;

#define SUM_2(i) "+r"(d[i]), "+r"(d[i + 1])
#define SUM_8(i) SUM_2(i), SUM_2(i + 2), SUM_2(i + 4), SUM_2(i + 6)
#define SUM_32(i) SUM_8(i), SUM_8(i + 8), SUM_8(i + 16), SUM_8(i + 24)

// d [64, 240] or [64, 256] = a [64, 32] * b [240 or 256, 32]^T (+ d where `add`), laid out as hopper.cuh's.
__device__ __forceinline__ void wgmma_bytes(int (&d)[128], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8"
                 " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8)
                     TEN(9) TEN(10) TEN(11) "%120,%121,%122,%123,%124,%125,%126,%127}, %128, %129, p;}"
                 : SUM_32(0), SUM_32(32), SUM_32(64), SUM_32(96)
                 : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma_bytes(int (&d)[120], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %122, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n240k32.s32.s8.s8 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," TEN(1)
                     TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9)
                         TEN(10) "%110,%111,%112,%113,%114,%115,%116,%117,%118,%119}, %120, %121, p;}"
                 : SUM_32(0), SUM_32(32), SUM_32(64), SUM_8(96), SUM_8(104), SUM_8(112)
                 : "l"(a), "l"(b), "r"(add));
}

// One thread, the producer: copies a block's x, its half of the weight's rows to both blocks, scales
// and biases.
__device__ __forceinline__ void load_tiles_async(const Work &w, const TensorMap &x, const TensorMap &weight,
                                                 const u16 *scales, const T *bias) {
    const u32 memory = w.memory;
    PipelineState<STAGES> p;
    int number = 0;
    for (int t = w.first; t < w.tiles; t += w.clusters, number++) {
        Tile tile = w.at(t);
        for (int k = 0; k < w.steps; k++, p.advance()) {
            u32 to = memory + p.stage * STAGE, share = w.rank * COLUMNS / 2;
            wait(STAGE_EMPTY(p.stage), p.phase ^ 1);
            u32 bytes = k == 0 ? min(COLUMNS, w.outputs - tile.column) * 2 : 0;
            arrive_expect_bytes(STAGE_FULL(p.stage), STAGE + 2 * bytes);
            copy_box_async(to, x, k * STEP, tile.row + w.rank * ROWS, STAGE_FULL(p.stage));
            copy_box_multicast(to + ROWS * LINE + share * LINE, weight, k * STEP, tile.column + share,
                               STAGE_FULL(p.stage), 3);
            if (bytes) {
                u32 place = memory + PARAMETERS_AT + number % 2 * PARAMETERS;
                copy_bytes_async(place, scales + tile.column, bytes, STAGE_FULL(p.stage));
                copy_bytes_async(place + COLUMNS * 2, bias + tile.column, bytes, STAGE_FULL(p.stage));
            }
        }
    }
}

// The factors and angles of a thread's sums.
struct Finish {
    float upper, lower;  // its rows' scales
    u32 parameters;      // in shared memory, of its first two columns
#if WIDTH
    Rotation rotation;
    int left;  // columns that are rotated
#endif
};

// A thread's four results of block `j` of eight columns, of its upper row and then of its lower one.
__device__ __forceinline__ void finish_block(const Finish &f, int j, const int *d, u32 (&pairs)[2]) {
    u32 scales, biases;
    float v[4], b[2];
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(scales) : "r"(f.parameters + 16 * j));
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(biases) : "r"(f.parameters + COLUMNS * 2 + 16 * j));
    unpack(biases, b[0], b[1]);
    const float s[2] = {__uint_as_float(scales << 16), __uint_as_float(scales & 0xffff0000u)};
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] = fmaf((float)d[i] * (i < 2 ? f.upper : f.lower), s[i % 2], b[i % 2]);
#if WIDTH
    if (8 * j < f.left) {
        rotate_pair(v, f.rotation.upper[j % BLOCKS]);
        rotate_pair(v + 2, f.rotation.lower[j % BLOCKS]);
    }
#endif
    pairs[0] = pack(v[0], v[1]), pairs[1] = pack(v[2], v[3]);
}

// A warpgroup, a consumer: 64 rows of every tile.
__device__ __forceinline__ void multiply_tiles(const Work &w, const float *row_scales, int pitch, T *y,
                                               const int *positions, const float2 *table, int rotated) {
    const u32 memory = w.memory;
    const int group = threadIdx.x / WARPGROUP, thread = threadIdx.x % WARPGROUP, lane = thread & 31,
              quad = lane & 3;
    const int first_row = w.rank * ROWS + threadIdx.x / 32 * 16;
    int d[COLUMNS / 2];
    PendingStore out;
    PipelineState<STAGES> p;
    int number = 0;
    for (int t = w.first; t < w.tiles; t += w.clusters, number++) {
        Tile tile = w.at(t);
        u32 last = 0;
        const float *own_scales = row_scales + (u64)(tile.row + first_row + lane / 4) * pitch;
        const float upper = own_scales[0], lower = own_scales[8 * pitch];
        for (int k = 0; k < w.steps; k++, p.advance()) {
            u64 a = tile_descriptor<LINE>(memory + p.stage * STAGE + group * (ROWS / 2 * LINE));
            u64 b = tile_descriptor<LINE>(memory + p.stage * STAGE + ROWS * LINE);
            wait(STAGE_FULL(p.stage), p.phase);
            wgmma_fence();
#pragma unroll
            for (int i = 0; i < STEP / 32; i++) wgmma_bytes(d, a + 2 * i, b + 2 * i, k + i);
            finish_step(w, STAGE_EMPTY(0), memory + OUT_AT, k, p.stage, last, out);
        }
        Finish f{upper, lower, memory + PARAMETERS_AT + number % 2 * PARAMETERS + quad * 4};
#if WIDTH
        f.left = rotated - tile.column;
        if (f.left > 0)
            load_rotation(f.rotation, table, positions + tile.row + first_row + lane / 4, tile.column, quad);
#endif
        wgmma_wait<0>();
        if (thread < 2) arrive_remote(STAGE_EMPTY(last), thread);
        __syncwarp();
        // One half after the other, as the parameters of both would not fit the registers.
        u32 pairs[COLUMNS / 8];
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j++) finish_block(f, j, d + 4 * j, *(u32(*)[2])(pairs + 2 * j));
        stage_sums(own_panels(memory + OUT_AT), [&](int i) { return pairs[i]; });
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j++)
            finish_block(f, COLUMNS / 16 + j, d + 4 * (COLUMNS / 16 + j), *(u32(*)[2])(out.held + 2 * j));
        begin_store(out, memory + OUT_AT, y + (u64)(tile.row + w.rank * ROWS) * w.outputs + tile.column,
                    w.outputs, w.outputs - tile.column);
    }
    while (out.step < STORE_STEPS) store_epilogue(out, memory + OUT_AT, w.outputs);
}

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(THREADS, 1)
    product_bytes(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap weight,
                  const float *row_scales, int pitch, const u16 *scales, const T *bias, T *y, int rows,
                  int inputs, int outputs, const int *positions, const float2 *table, int rotated) {
    extern __shared__ __align__(1024) unsigned char shared[];
    Work w(shared, rows, inputs, outputs);
    w.steps = max(w.steps, STAGES);
    init_ring<STAGES>(w.memory + BARRIERS_AT);
    // Each warpgroup has the registers of its role.
    if (threadIdx.x < 2 * WARPGROUP) {
        increase_registers<232>();
        multiply_tiles(w, row_scales, pitch, y, positions, table, rotated);
    } else {
        decrease_registers<40>();
        if (threadIdx.x == 2 * WARPGROUP) load_tiles_async(w, x, weight, scales, bias);
        __syncwarp();
    }
    // No block may end while the other still copies to it or arrives at its barriers.
    cluster_sync();
}
