// Barriers in shared memory and bulk tensor copies of compute capability 9.0, as PTX. Source: PTX ISA 8.x
// (mbarrier, cp.async.bulk.tensor).
//
// A copy loads rows of at most 128 bytes one behind the other, its 16-byte vectors swizzled by the row as the
// tensor map says (SWIZZLE_128B: vector v of row r lies at v ^ (r % 8)), from a multiple of eight rows on.

struct __align__(128) TensorMap { u64 opaque[16]; };

// ---- Barriers. `phase` is the parity of the phase waited for: the first is 0.

__device__ __forceinline__ void barrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// After all `barrier_init`, before the cluster or the block synchronizes.
__device__ __forceinline__ void fence_barrier_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// One arrival, and `bytes` of copies to wait for.
__device__ __forceinline__ void arrive_expect_bytes(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ bool try_wait(u32 barrier, u32 phase) {
    u32 done;
    asm volatile("{.reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;}"
                 : "=r"(done)
                 : "r"(barrier), "r"(phase)
                 : "memory");
    return done;
}
// With -DBOUNDED_WAITS a wait that never ends is an error instead: for work on kernels.
__device__ __forceinline__ void wait(u32 barrier, u32 phase) {
#ifdef BOUNDED_WAITS
    for (u32 polls = 0; !try_wait(barrier, phase); polls++)
        if (polls > BOUNDED_WAITS) asm volatile("trap;");
#else
    while (!try_wait(barrier, phase)) {}
#endif
}

// A stage of a ring of so many, and the parity of its phase.
template <int COUNT> struct PipelineState {
    u32 stage = 0, phase = 0;
    __device__ __forceinline__ void advance() {
        if (++stage == COUNT) stage = 0, phase ^= 1;
    }
};

// ---- Copies to shared memory, by one thread; they count down the barrier's bytes.

__device__ __forceinline__ void copy_box_async(u32 to, const TensorMap &map, int column, int row,
                                               u32 barrier) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes"
                 " [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
                 "l"(&map), "r"(column), "r"(row), "r"(barrier)
                 : "memory");
}
// `bytes`, a multiple of 16, as they are.
__device__ __forceinline__ void copy_bytes_async(u32 to, const void *from, u32 bytes, u32 barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
        "l"(from), "r"(bytes), "r"(barrier)
        : "memory");
}
