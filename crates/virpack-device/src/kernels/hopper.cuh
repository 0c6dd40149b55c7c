// The parts of compute capability 9.0 that have no C++ form, as PTX: barriers in shared memory, bulk tensor copies,
// clusters, and the matrix products of a warpgroup (wgmma) on 16-bit operands with float32 sums.
//
// A tile in shared memory is rows of 64 values (128 bytes) at a multiple of 1,024 bytes, its 16-byte pieces exchanged
// as SWIZZLE_128B says: piece p of row r lies at p ^ (r % 8). Sources: PTX ISA 8.x (mbarrier, cp.async.bulk.tensor,
// wgmma descriptors).

struct __align__(128) TensorMap { u64 opaque[16]; };

// ---- Barriers. `phase` is the parity of the phase waited for: the first is 0.

__device__ __forceinline__ void barrier_begin(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// After all `barrier_begin`, before the cluster or the block synchronizes.
__device__ __forceinline__ void barriers_ready() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// At the same barrier of block `rank` of the cluster. For what the tensor cores have read: ordinary accesses of other
// blocks are not ordered by it (that would be a fence of the whole card each time).
__device__ __forceinline__ void arrive_at(u32 barrier, u32 rank) {
    asm volatile("{.reg .b32 there;\n"
                 "mapa.shared::cluster.u32 there, %0, %1;\n"
                 "mbarrier.arrive.shared::cluster.b64 _, [there];}" ::"r"(barrier), "r"(rank) : "memory");
}
// One arrival, and `bytes` of copies to wait for.
__device__ __forceinline__ void arrive_expecting(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ __forceinline__ bool is_past(u32 barrier, u32 phase) {
    u32 past;
    asm volatile("{.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;}" : "=r"(past) : "r"(barrier), "r"(phase) : "memory");
    return past;
}
// With -DBOUNDED_WAITS a wait that never ends is an error instead: for work on kernels.
__device__ __forceinline__ void wait(u32 barrier, u32 phase) {
#ifdef BOUNDED_WAITS
    for (u32 polls = 0; !is_past(barrier, phase); polls++)
        if (polls > BOUNDED_WAITS) asm volatile("trap;");
#else
    while (!is_past(barrier, phase)) {}
#endif
}

// ---- Clusters.

__device__ __forceinline__ u32 cluster_rank() {
    u32 r;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}
__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}

// ---- Copies to shared memory, by one thread; they count down the barrier's bytes.

__device__ __forceinline__ void copy_box(u32 to, const TensorMap &map, int column, int row, u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                 ::"r"(to), "l"(&map), "r"(column), "r"(row), "r"(barrier) : "memory");
}
// To the same place, and the same barrier, of every block of the cluster whose bit is set.
__device__ __forceinline__ void copy_box_to(u32 to, const TensorMap &map, int column, int row, u32 barrier, u16 blocks) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
                 " [%0], [%1, {%2, %3}], [%4], %5;"
                 ::"r"(to), "l"(&map), "r"(column), "r"(row), "r"(barrier), "h"(blocks) : "memory");
}
// `bytes`, a multiple of 16, as they are.
__device__ __forceinline__ void copy_bytes(u32 to, const void *from, u32 bytes, u32 barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 ::"r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// ---- Products of a warpgroup.

// A tile whose columns are the reduction, swizzled by its rows of LINE bytes. Adding 2 moves it by 16 columns.
template <int LINE> __device__ __forceinline__ u64 tile_descriptor(u32 address) {
    static_assert(LINE == 128 || LINE == 64, "swizzled by 128 or 64 bytes");
    return (u64)(address >> 4 & 0x3fff) | 1ull << 16 | (u64)(8 * LINE >> 4) << 32 | (LINE == 128 ? 1ull : 2ull) << 62;
}
__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Until at most LEFT of the groups committed still run.
template <int LEFT> __device__ __forceinline__ void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}
// Registers a thread, for all four warps of a warpgroup.
template <int COUNT> __device__ __forceinline__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}
template <int COUNT> __device__ __forceinline__ void leave_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

#if DTYPE == 1
#define WGMMA_KIND "f32.f16.f16"
#else
#define WGMMA_KIND "f32.bf16.bf16"
#endif

#define TEN(a) "%" #a "0,%" #a "1,%" #a "2,%" #a "3,%" #a "4,%" #a "5,%" #a "6,%" #a "7,%" #a "8,%" #a "9,"
#define SUMS_8(i)                                                                                          \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
        "+f"(d[i + 7])
#define SUMS_32(i) SUMS_8(i), SUMS_8(i + 8), SUMS_8(i + 16), SUMS_8(i + 24)
#define NINETY                                                                                                 \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9," TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6)      \
        TEN(7) TEN(8)

// d [64, columns] = a [64, 16] * b [columns, 16]^T (+ d where `add`). Row 16 warp + lane / 4 (+ 8) and column
// 8 j + 2 (lane % 4) are d[4 j] (d[4 j + 2]), the next column the next value.
__device__ __forceinline__ void product(float (&d)[128], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k16." WGMMA_KIND " {" NINETY TEN(9) TEN(10)
                 TEN(11) "%120,%121,%122,%123,%124,%125,%126,%127}, %128, %129, p, 1, 1, 0, 0;}"
                 : SUMS_32(0), SUMS_32(32), SUMS_32(64), SUMS_32(96)
                 : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void product(float (&d)[96], u64 a, u64 b, u32 add) {
    asm volatile("{.reg .pred p;\n"
                 "setp.ne.b32 p, %98, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n192k16." WGMMA_KIND " {" NINETY
                 "%90,%91,%92,%93,%94,%95}, %96, %97, p, 1, 1, 0, 0;}"
                 : SUMS_32(0), SUMS_32(32), SUMS_32(64)
                 : "l"(a), "l"(b), "r"(add));
}
