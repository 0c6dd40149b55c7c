// Shared by every kernel: the element type, conversions, 16-byte vectors, cu_seqlens, GELU.
//
// Written without CUDA's headers, so that NVRTC needs no include path: 16-bit floats are their bits, and
// the conversions are PTX. DTYPE comes from the compiler's options: 0 float32, 1 float16, 2 bfloat16.

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned long long u64;

#if DTYPE == 0
typedef float T;
#define VEC 4
#else
typedef u16 T;
#define VEC 8
#endif

#define FULL 0xffffffffu
#define LOG2_E 1.44269504088896f
#define NEGATIVE_INFINITY __int_as_float(0xff800000)

__device__ __forceinline__ float to_float(T x) {
#if DTYPE == 0
    return x;
#elif DTYPE == 1
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x));
    return f;
#else
    return __int_as_float((u32)x << 16);
#endif
}

__device__ __forceinline__ T from_float(float x) {
#if DTYPE == 0
    return x;
#elif DTYPE == 1
    u16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
#else
    u16 h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
#endif
}

// Two values to float16, the first one low.
__device__ __forceinline__ u32 two_halves(float first, float second) {
    u32 r;
#if __CUDA_ARCH__ < 800
    asm("{.reg .b16 a, b;\n"
        "cvt.rn.f16.f32 a, %1;\n"
        "cvt.rn.f16.f32 b, %2;\n"
        "mov.b32 %0, {a, b};}"
        : "=r"(r)
        : "f"(first), "f"(second));
#else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
#endif
    return r;
}

#if DTYPE != 0
// Two values to 32 bits, the first one low.
__device__ __forceinline__ u32 pack(float low, float high) {
#if DTYPE == 1
    return two_halves(low, high);
#else
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
#endif
}

__device__ __forceinline__ void unpack(u32 r, float &low, float &high) {
    low = to_float((T)(r & 0xffffu));
    high = to_float((T)(r >> 16));
}
#endif

// VEC values of 16 bytes.
__device__ __forceinline__ void unpack_vector(uint4 raw, float (&v)[VEC]) {
#if DTYPE == 0
    v[0] = __int_as_float(raw.x);
    v[1] = __int_as_float(raw.y);
    v[2] = __int_as_float(raw.z);
    v[3] = __int_as_float(raw.w);
#else
    unpack(raw.x, v[0], v[1]);
    unpack(raw.y, v[2], v[3]);
    unpack(raw.z, v[4], v[5]);
    unpack(raw.w, v[6], v[7]);
#endif
}

// VEC values in one 16-byte access; `p` must be 16-byte aligned.
__device__ __forceinline__ void load_vector(const T *p, float (&v)[VEC]) {
    unpack_vector(*(const uint4 *)p, v);
}

__device__ __forceinline__ void store_vector(T *p, const float (&v)[VEC]) {
    uint4 raw;
#if DTYPE == 0
    raw.x = __float_as_int(v[0]);
    raw.y = __float_as_int(v[1]);
    raw.z = __float_as_int(v[2]);
    raw.w = __float_as_int(v[3]);
#else
    raw.x = pack(v[0], v[1]);
    raw.y = pack(v[2], v[3]);
    raw.z = pack(v[4], v[5]);
    raw.w = pack(v[6], v[7]);
#endif
    *(uint4 *)p = raw;
}

__device__ __forceinline__ u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }

// A sequence's place in the batch: the only arithmetic on cu_seqlens on the device.
struct Span {
    int start, length;
};
__device__ __forceinline__ Span span_of(const int *cu_seqlens, int sequence) {
    int start = cu_seqlens[sequence];
    return Span{start, cu_seqlens[sequence + 1] - start};
}

// A piece of attention work: rows `row .. row + rows` of a sequence (laid out in cuda/packed.rs).
struct Item {
    int start, length, row, rows;
};
static_assert(sizeof(Item) == ITEM_BYTES, "as the launcher lays it out");

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float reciprocal_fast(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The erf GELU, x times the normal distribution Phi(x). In float32 as it is written. In 16 bits as max(x, 0)
// - |x| Phi(-|x|), where log2 Phi is nearly a polynomial (dev/gelu_fit.py): off by at most 0.33 of float16's
// own rounding error, 0.04 of bfloat16's down to results of 6e-5 (x of -4.2), by 1e-8 beyond. Of odd degree,
// so that it falls without end.
__device__ __forceinline__ float gelu(float x) {
#if DTYPE == 0
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
#else
    float n = -fabsf(x);
    float p = 0.00032972978078760207f;
    p = fmaf(p, n, 0.00591416796669364f);
    p = fmaf(p, n, 0.04851996526122093f);
    p = fmaf(p, n, -0.46374666690826416f);
    p = fmaf(p, n, 1.1493536233901978f);
    p = fmaf(p, n, -1.0001158714294434f);
    return fmaf(n, exp2_fast(p), fmaxf(x, 0.0f));
#endif
}
