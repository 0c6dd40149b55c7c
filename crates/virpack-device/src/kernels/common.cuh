// What every kernel shares: the element type, conversions, 16-byte vectors, cu_seqlens, GELU.
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

#if DTYPE != 0
// Two values to 32 bits, the first one low.
__device__ __forceinline__ u32 pack(float low, float high) {
    u32 r;
#if DTYPE == 1
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
#else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
#endif
    return r;
}

__device__ __forceinline__ void unpack(u32 r, float &low, float &high) {
    low = to_float((T)(r & 0xffffu));
    high = to_float((T)(r >> 16));
}
#endif

// VEC values of 16 bytes.
__device__ __forceinline__ void unpack_vector(uint4 raw, float (&v)[VEC]) {
#if DTYPE == 0
    v[0] = __int_as_float(raw.x); v[1] = __int_as_float(raw.y);
    v[2] = __int_as_float(raw.z); v[3] = __int_as_float(raw.w);
#else
    unpack(raw.x, v[0], v[1]); unpack(raw.y, v[2], v[3]);
    unpack(raw.z, v[4], v[5]); unpack(raw.w, v[6], v[7]);
#endif
}

// VEC values in one 16-byte access; `p` must be 16-byte aligned.
__device__ __forceinline__ void load_vector(const T *p, float (&v)[VEC]) { unpack_vector(*(const uint4 *)p, v); }

__device__ __forceinline__ void store_vector(T *p, const float (&v)[VEC]) {
    uint4 raw;
#if DTYPE == 0
    raw.x = __float_as_int(v[0]); raw.y = __float_as_int(v[1]);
    raw.z = __float_as_int(v[2]); raw.w = __float_as_int(v[3]);
#else
    raw.x = pack(v[0], v[1]); raw.y = pack(v[2], v[3]);
    raw.z = pack(v[4], v[5]); raw.w = pack(v[6], v[7]);
#endif
    *(uint4 *)p = raw;
}

__device__ __forceinline__ u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }

// A sequence's place in the batch: the only arithmetic on cu_seqlens on the device.
struct Span { int start, length; };
__device__ __forceinline__ Span span_of(const int *cu_seqlens, int sequence) {
    int start = cu_seqlens[sequence];
    return Span{start, cu_seqlens[sequence + 1] - start};
}

// A piece of attention work: rows `row .. row + rows` of a sequence (laid out in cuda/packed.rs).
struct Item { int start, length, row, rows; };

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

// The erf GELU. In float32 as it is written. In 16 bits as x / (1 + 2^(-x Q(x^2))), Q the polynomial that makes
// the logistic function the normal distribution (dev/cuda.md): off by at most 0.22 of float16's and 0.46 of
// bfloat16's own rounding error, at half the instructions of erff. Of degree 6 for float16: its Q grows beyond the
// fitted |x| <= 6, so that x needs no bound.
__device__ __forceinline__ float gelu(float x) {
#if DTYPE == 0
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
#elif DTYPE == 1
    float t = x * x;
    float q = 2.516862940282749e-09f;
    q = fmaf(q, t, -2.2509415487093065e-07f);
    q = fmaf(q, t, 7.884953447501175e-06f);
    q = fmaf(q, t, -0.00012195947783766314f);
    q = fmaf(q, t, -0.0002834070473909378f);
    q = fmaf(q, t, 0.10523752868175507f);
    q = fmaf(q, t, 2.301966667175293f);
    return x * reciprocal_fast(1.0f + exp2_fast(-x * q));
#else
    float t = fminf(x * x, 36.0f);
    float q = -8.182452632121695e-11f;
    q = fmaf(q, t, 9.498736019963872e-09f);
    q = fmaf(q, t, -4.605161905146815e-07f);
    q = fmaf(q, t, 1.1887588698300533e-05f);
    q = fmaf(q, t, -0.00015811677440069616f);
    q = fmaf(q, t, -0.000116753377369605f);
    q = fmaf(q, t, 0.10490024834871292f);
    q = fmaf(q, t, 2.30216383934021f);
    return x * reciprocal_fast(1.0f + exp2_fast(-x * q));
#endif
}
