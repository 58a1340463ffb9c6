// Convolutions of a HiFi-GAN generator (Kong et al. 2020, arXiv 2010.05646) on tensor cores, compute capability 8.0 and
// later; one source for all, compiled for the GPU that serves. No headers, so that NVRTC needs nothing beside it.
//
// Activations lie channels last, [batch, rows, channels] in float16, and are stored behind the leaky ReLU that follows:
// whoever wants the value before it divides the negative ones by the slope. A block keeps the rows of its tile and of
// all taps in shared memory once, so a tap is an offset; weights come in the order of the tensor cores' fragments
// straight from the caches. The branches of a residual stage are the third dimension of one grid, or, where they are
// averaged in the end, computed one after the other into the same sums.

typedef unsigned short half_t;
typedef unsigned int u32;

struct Branch {
    const half_t *x;           // what is convolved; float32 [batch, CIN, rows] where it is the mel
    const uint4 *weight;       // [taps, CIN / 16, N / 16, 32 lanes, 8] halves, see packed_weights
    const float *bias;         // [N]
    const uint4 *second_weight;  // of a pair's second convolution, whose taps are next to each other
    const float *second_bias;
    const half_t *residual;    // [batch, rows, N], activated with residual_slope, or null; of a pair it is x
    half_t *y;                 // [batch, rows, N]
    int taps, dilation, first, second;  // rows of the first tap relative to the tile; of columns from N / 2 on
};

struct Args {
    Branch branch[3];
    int rows, columns, tiles, branches;
    float slope;               // of what is written, 1 for none
    float residual_slope;
};

struct LastArgs {
    const half_t *x;
    const float *weight;       // [taps, CIN]
    const float *bias;         // one
    float *y;                  // [batch, rows]
    int rows, tiles, taps;
};

static_assert(sizeof(Branch) == 72 && sizeof(Args) == 240 && sizeof(LastArgs) == 48, "as engine.py packs them");

__device__ __forceinline__ float low_of(u32 pair) {
    float value;
    asm("{.reg .f16 a, b; mov.b32 {a, b}, %1; cvt.f32.f16 %0, a;}" : "=f"(value) : "r"(pair));
    return value;
}

__device__ __forceinline__ float high_of(u32 pair) {
    float value;
    asm("{.reg .f16 a, b; mov.b32 {a, b}, %1; cvt.f32.f16 %0, b;}" : "=f"(value) : "r"(pair));
    return value;
}

__device__ __forceinline__ u32 pair_of(float low, float high) {
    u32 pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

__device__ __forceinline__ float leaky(float value, float slope) { return value > 0.0f ? value : value * slope; }

__device__ __forceinline__ u32 shared_address(const void *place) {
    return static_cast<u32>(__cvta_generic_to_shared(place));
}

__device__ __forceinline__ void copy_16(u32 target, const void *source, bool is_real) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(is_real ? 16 : 0));
}

__device__ __forceinline__ void load_rows(u32 (&a)[4], u32 address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
                 : "r"(address));
}

__device__ __forceinline__ void multiply(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Rows of one tensor, zeros where there are none, into shared memory; the copy is still under way afterwards.
template <int CIN, int THREADS>
__device__ __forceinline__ void fetch(half_t *tile, const half_t *x, int start, int span, int rows) {
    for (int i = threadIdx.x; i < span * (CIN / 8); i += THREADS) {
        const int row = i / (CIN / 8), column = i % (CIN / 8) * 8, t = start + row;
        const bool is_real = t >= 0 && t < rows;
        copy_16(shared_address(tile + row * (CIN + 8) + column), x + size_t(is_real ? t : 0) * CIN + column, is_real);
    }
    asm volatile("cp.async.commit_group;");
}

template <int CIN, int THREADS>
__device__ __forceinline__ void fetch_mel(half_t *tile, const float *mel, int start, int span, int rows) {
    for (int i = threadIdx.x; i < span * CIN / 2; i += THREADS) {
        const int row = i % span, column = i / span * 2, t = start + row;
        const bool is_real = t >= 0 && t < rows;
        const float low = is_real ? mel[size_t(column) * rows + t] : 0.0f;
        const float high = is_real ? mel[size_t(column + 1) * rows + t] : 0.0f;
        *reinterpret_cast<u32 *>(tile + row * (CIN + 8) + column) = pair_of(low, high);
    }
}

// Adds a convolution of a tile to a warp's sums: TM times 16 rows from `row` on, TN times 16 columns.
template <int CIN, int TM, int TN>
__device__ __forceinline__ void accumulate(float (&sums)[TM][2 * TN][4], u32 row, const uint4 *weight, int stride,
                                           int taps, int row_bytes) {
    constexpr int DEPTH = CIN / 16, PITCH_BYTES = (CIN + 8) * 2;
    uint4 ahead[TN];
#pragma unroll
    for (int n = 0; n < TN; ++n) ahead[n] = __ldg(weight + n * 32);
    for (int tap = 0; tap < taps; ++tap) {
#pragma unroll (DEPTH < 8 ? DEPTH : 8)
        for (int k = 0; k < DEPTH; ++k) {
            uint4 b[TN];
            u32 a[TM][4];
#pragma unroll
            for (int n = 0; n < TN; ++n) b[n] = ahead[n];
            weight += stride;  // there is a step more than is used
#pragma unroll
            for (int n = 0; n < TN; ++n) ahead[n] = __ldg(weight + n * 32);
#pragma unroll
            for (int m = 0; m < TM; ++m) load_rows(a[m], row + m * 16 * PITCH_BYTES + k * 32);
#pragma unroll
            for (int m = 0; m < TM; ++m)
#pragma unroll
                for (int n = 0; n < TN; ++n) {
                    multiply(sums[m][2 * n], a[m], b[n].x, b[n].y);
                    multiply(sums[m][2 * n + 1], a[m], b[n].z, b[n].w);
                }
        }
        row += row_bytes;
    }
}

template <int TM, int TN>
__device__ __forceinline__ void clear(float (&sums)[TM][TN][4]) {
#pragma unroll
    for (int m = 0; m < TM; ++m)
#pragma unroll
        for (int n = 0; n < TN; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[m][n][i] = 0.0f;
}

enum Source { ONE, MEL, PAIR, MEAN };  // activated halves; the log-mel; a pair of convolutions; pairs that are averaged

template <int CIN, int BT, int BN, int WM, int WN, int SOURCE>
__device__ __forceinline__ void convolve(const Args &args) {
    constexpr int PITCH = CIN + 8, OUT_PITCH = BN + 8, THREADS = 32 * WM * WN;
    constexpr int TM = BT / WM / 16, TN = BN / WN / 16;
    extern __shared__ uint4 storage[];
    half_t *const tile = reinterpret_cast<half_t *>(storage);
    const Branch &branch = args.branch[blockIdx.z];
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int warp_m = warp % WM, warp_n = warp / WM;
    const int rows = args.rows, columns = args.columns;
    const int batch = blockIdx.x / args.tiles, t0 = blockIdx.x % args.tiles * BT, n0 = blockIdx.y * BN;
    const int start = t0 + (n0 * 2 < columns ? branch.first : branch.second);
    const int span = BT + (branch.taps - 1) * branch.dilation;
    if constexpr (SOURCE == MEL)
        fetch_mel<CIN, THREADS>(tile, reinterpret_cast<const float *>(branch.x) + size_t(batch) * CIN * rows, start,
                                span, rows);
    else
        fetch<CIN, THREADS>(tile, branch.x + size_t(batch) * rows * CIN, start, span, rows);
    asm volatile("cp.async.wait_all;");
    __syncthreads();

    float sums[TM][2 * TN][4] = {};
    accumulate<CIN, TM, TN>(sums, shared_address(tile + (warp_m * (BT / WM) + lane % 16) * PITCH + lane / 16 * 8),
                            branch.weight + (n0 / 16 + warp_n * TN) * 32 + lane, columns * 2, branch.taps,
                            branch.dilation * PITCH * 2);

    __syncthreads();  // the tile's memory takes the results, so that they leave in whole lines
#pragma unroll
    for (int n = 0; n < 2 * TN; ++n) {
        const int column = warp_n * (BN / WN) + n * 8 + lane % 4 * 2;
        const float bias0 = __ldg(branch.bias + n0 + column), bias1 = __ldg(branch.bias + n0 + column + 1);
#pragma unroll
        for (int m = 0; m < TM; ++m) {
            half_t *const place = tile + (warp_m * (BT / WM) + m * 16 + lane / 4) * OUT_PITCH + column;
            *reinterpret_cast<u32 *>(place) = pair_of(sums[m][n][0] + bias0, sums[m][n][1] + bias1);
            *reinterpret_cast<u32 *>(place + 8 * OUT_PITCH) = pair_of(sums[m][n][2] + bias0, sums[m][n][3] + bias1);
        }
    }
    __syncthreads();
    const float slope = args.slope, unslope = 1.0f / args.residual_slope;
    for (int i = thread; i < BT * (BN / 8); i += THREADS) {
        const int out = i / (BN / 8), column = i % (BN / 8) * 8;
        if (t0 + out >= rows) break;
        const uint4 made = *reinterpret_cast<const uint4 *>(tile + out * OUT_PITCH + column);
        const size_t place = (size_t(batch) * rows + t0 + out) * columns + n0 + column;
        u32 pairs[4] = {made.x, made.y, made.z, made.w};
        uint4 kept = make_uint4(0, 0, 0, 0);
        if (branch.residual) kept = *reinterpret_cast<const uint4 *>(branch.residual + place);
        const u32 others[4] = {kept.x, kept.y, kept.z, kept.w};
#pragma unroll
        for (int p = 0; p < 4; ++p) {
            const float low = low_of(pairs[p]) + leaky(low_of(others[p]), unslope);
            const float high = high_of(pairs[p]) + leaky(high_of(others[p]), unslope);
            pairs[p] = pair_of(leaky(low, slope), leaky(high, slope));
        }
        *reinterpret_cast<uint4 *>(branch.y + place) = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    }
}

// A dilated and a plain convolution with the residual around them; what lies between never leaves the block. A block
// makes BT rows in between, of which the second convolution makes fewer: BT - (taps - 1). MEAN adds up all branches.
template <int C, int BT, int WM, int WN, int SOURCE>
__device__ __forceinline__ void convolve_pair(const Args &args) {
    constexpr int PITCH = C + 8, THREADS = 32 * WM * WN, TM = BT / WM / 16, TN = C / WN / 16;
    extern __shared__ uint4 storage[];
    half_t *const middle = reinterpret_cast<half_t *>(storage);  // before the tile, whose size differs by branch
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int warp_m = warp % WM, warp_n = warp / WM, rows = args.rows;
    const int first = SOURCE == MEAN ? 0 : blockIdx.z, stop = SOURCE == MEAN ? args.branches : first + 1;
    const int most_taps = args.branch[first].taps;  // the branches are in falling order
    half_t *const tile = middle + (BT + most_taps - 1) * PITCH;
    const int made = BT - (most_taps - 1), batch = blockIdx.x / args.tiles, t0 = blockIdx.x % args.tiles * made;
    if (t0 >= rows) return;  // of a branch that makes more rows a block
    const float unslope = 1.0f / args.residual_slope;
    const int top = warp_m * (BT / WM), left = warp_n * (C / WN);

    float sums[TM][2 * TN][4];
    if constexpr (SOURCE == MEAN) clear(sums);
    for (int index = first; index < stop; ++index) {
        const Branch &branch = args.branch[index];
        const int taps = branch.taps, dilation = branch.dilation;
        const int before = (taps - 1) / 2, reach = before * dilation;
        const int start = t0 - before - reach;
        fetch<C, THREADS>(tile, branch.x + size_t(batch) * rows * C, start, BT + 2 * reach, rows);
        asm volatile("cp.async.wait_all;");
        __syncthreads();
        {
            float inner[TM][2 * TN][4] = {};
            accumulate<C, TM, TN>(inner, shared_address(tile + (top + lane % 16) * PITCH + lane / 16 * 8),
                                  branch.weight + warp_n * TN * 32 + lane, C * 2, taps, dilation * PITCH * 2);
#pragma unroll
            for (int n = 0; n < 2 * TN; ++n) {
                const int column = left + n * 8 + lane % 4 * 2;
                const float bias0 = __ldg(branch.bias + column), bias1 = __ldg(branch.bias + column + 1);
#pragma unroll
                for (int m = 0; m < TM; ++m)
#pragma unroll
                    for (int half = 0; half < 2; ++half) {
                        const int row = top + m * 16 + half * 8 + lane / 4, t = t0 - before + row;
                        const bool is_real = t >= 0 && t < rows;
                        const float low = leaky(inner[m][n][2 * half] + bias0, args.residual_slope);
                        const float high = leaky(inner[m][n][2 * half + 1] + bias1, args.residual_slope);
                        *reinterpret_cast<u32 *>(middle + row * PITCH + column) = is_real ? pair_of(low, high) : 0u;
                    }
            }
        }
        __syncthreads();
        if constexpr (SOURCE == PAIR) clear(sums);
        accumulate<C, TM, TN>(sums, shared_address(middle + (top + lane % 16) * PITCH + lane / 16 * 8),
                              branch.second_weight + warp_n * TN * 32 + lane, C * 2, taps, PITCH * 2);
#pragma unroll
        for (int n = 0; n < 2 * TN; ++n) {
            const int column = left + n * 8 + lane % 4 * 2;
            const float bias0 = __ldg(branch.second_bias + column), bias1 = __ldg(branch.second_bias + column + 1);
#pragma unroll
            for (int m = 0; m < TM; ++m)
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const int row = top + m * 16 + half * 8 + lane / 4;
                    const half_t *const place = tile + (row + before + reach) * PITCH + column;
                    const u32 kept = row < made ? *reinterpret_cast<const u32 *>(place) : 0u;
                    sums[m][n][2 * half] += bias0 + leaky(low_of(kept), unslope);
                    sums[m][n][2 * half + 1] += bias1 + leaky(high_of(kept), unslope);
                }
        }
        __syncthreads();
    }

    const float share = 1.0f / (stop - first), slope = args.slope;
#pragma unroll
    for (int n = 0; n < 2 * TN; ++n)
#pragma unroll
        for (int m = 0; m < TM; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                half_t *const place =
                    middle + (top + m * 16 + half * 8 + lane / 4) * PITCH + left + n * 8 + lane % 4 * 2;
                *reinterpret_cast<u32 *>(place) = pair_of(leaky(sums[m][n][2 * half] * share, slope),
                                                          leaky(sums[m][n][2 * half + 1] * share, slope));
            }
    __syncthreads();
    half_t *const y = args.branch[first].y + size_t(batch) * rows * C;
    for (int i = thread; i < made * (C / 8); i += THREADS) {
        const int row = i / (C / 8), column = i % (C / 8) * 8;
        if (t0 + row >= rows) break;
        *reinterpret_cast<uint4 *>(y + size_t(t0 + row) * C + column) =
            *reinterpret_cast<const uint4 *>(middle + row * PITCH + column);
    }
}

// The average of the branches behind a leaky ReLU, a piece of 16 bytes a thread.
__device__ __forceinline__ void average(const Args &args) {
    const size_t count = size_t(args.tiles) * args.rows * (args.columns / 8);  // tiles is the batch here
    const size_t place = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (place >= count) return;
    float sums[8] = {};
    for (int index = 0; index < args.branches; ++index) {
        const uint4 found = __ldg(reinterpret_cast<const uint4 *>(args.branch[index].x) + place);
        const u32 pairs[4] = {found.x, found.y, found.z, found.w};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            sums[2 * i] += low_of(pairs[i]);
            sums[2 * i + 1] += high_of(pairs[i]);
        }
    }
    const float share = 1.0f / args.branches;
#pragma unroll
    for (int i = 0; i < 8; ++i) sums[i] = leaky(sums[i] * share, args.slope);
    reinterpret_cast<uint4 *>(args.branch[0].y)[place] = make_uint4(
        pair_of(sums[0], sums[1]), pair_of(sums[2], sums[3]), pair_of(sums[4], sums[5]), pair_of(sums[6], sums[7]));
}

template <int CIN, int BT>
__device__ __forceinline__ void sound(const LastArgs &args) {
    constexpr int PITCH = CIN + 8;
    extern __shared__ uint4 storage[];
    half_t *const tile = reinterpret_cast<half_t *>(storage);
    const int thread = threadIdx.x, rows = args.rows, taps = args.taps;
    const int batch = blockIdx.x / args.tiles, t0 = blockIdx.x % args.tiles * BT;
    fetch<CIN, BT>(tile, args.x + size_t(batch) * rows * CIN, t0 - taps / 2, BT + taps - 1, rows);
    asm volatile("cp.async.wait_all;");
    __syncthreads();
    if (t0 + thread >= rows) return;
    float sum = *args.bias;
    for (int tap = 0; tap < taps; ++tap) {
        const float *weight = args.weight + tap * CIN;
#pragma unroll
        for (int column = 0; column < CIN; column += 8) {
            const uint4 found = *reinterpret_cast<const uint4 *>(tile + (thread + tap) * PITCH + column);
            const u32 pairs[4] = {found.x, found.y, found.z, found.w};
#pragma unroll
            for (int p = 0; p < 4; ++p) {
                sum = fmaf(low_of(pairs[p]), __ldg(weight + column + 2 * p), sum);
                sum = fmaf(high_of(pairs[p]), __ldg(weight + column + 2 * p + 1), sum);
            }
        }
    }
    args.y[size_t(batch) * rows + t0 + thread] = tanhf(sum);
}
