#include "src/gemm.hpp"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define AC_X86_DISPATCH 1
#else
#define AC_X86_DISPATCH 0
#endif

namespace atomcore::cpu {

template <typename T>
PackedMatrix<T>::PackedMatrix(const T* source, std::int64_t rows, std::int64_t columns, std::int64_t row_stride,
                              std::int64_t column_stride)
    : rows_(rows), columns_(columns), lines_(static_cast<std::size_t>(n_panels() * rows), Line{}) {
  for (std::int64_t j = 0; j < columns; ++j)
    for (std::int64_t k = 0; k < rows; ++k)
      lines_[static_cast<std::size_t>((j / width) * rows + k)].values[j % width] =
          source[k * row_stride + j * column_stride];
}

namespace {

template <typename T, int kBytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(kBytes)));
};

// Rows x[0..kRows) times one panel. A line takes 64/kBytes registers, so kRows = kBytes/8 rows keep 8 accumulators
// busy: enough to hide the latency of a multiply-add, and few enough for 16 registers.
template <typename T, int kBytes, int kRows>
[[gnu::always_inline]] inline void multiply_tile(const T* const* x, std::int64_t depth,
                                                 const typename PackedMatrix<T>::Line* panel, const T* bias, T* out) {
  using Vector = typename VectorOf<T, kBytes>::type;
  constexpr int kVectors = 64 / kBytes;
  Vector sum[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) std::memcpy(&sum[r], bias, 64);
  for (std::int64_t k = 0; k < depth; ++k) {
    Vector b[kVectors];
    std::memcpy(&b, panel[k].values, 64);
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v) sum[r][v] += x[r][k] * b[v];
  }
  std::memcpy(out, &sum, sizeof(sum));
}

template <typename T, int kBytes>
[[gnu::always_inline]] inline void multiply(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias, T* Y) {
  constexpr int kRows = kBytes / 8;
  constexpr std::int64_t kWidth = PackedMatrix<T>::width;
  for (std::int64_t p = 0; p < B.n_panels(); ++p) {
    const std::int64_t first = p * kWidth;
    const auto bytes = static_cast<std::size_t>(std::min(kWidth, B.columns() - first)) * sizeof(T);
    T start[kWidth] = {};
    if (bias) std::memcpy(start, bias + first, bytes);
    for (std::int64_t i = 0; i < m; i += kRows) {
      const T* x[kRows];  // a short last tile repeats its last row and throws the copies away
      for (int r = 0; r < kRows; ++r) x[r] = X + std::min<std::int64_t>(i + r, m - 1) * B.rows();
      T out[kRows * kWidth];
      multiply_tile<T, kBytes, kRows>(x, B.rows(), B.panel(p), start, out);
      for (std::int64_t r = 0; r < std::min<std::int64_t>(kRows, m - i); ++r)
        std::memcpy(Y + (i + r) * B.columns() + first, out + r * kWidth, bytes);
    }
  }
}

template <typename T>
void multiply_baseline(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias, T* Y) {
  multiply<T, 16>(X, m, B, bias, Y);
}

#if AC_X86_DISPATCH
template <typename T>
[[gnu::target("avx2,fma")]] void multiply_avx2(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias,
                                               T* Y) {
  multiply<T, 32>(X, m, B, bias, Y);
}

template <typename T>
[[gnu::target("avx512f,fma")]] void multiply_avx512(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias,
                                                    T* Y) {
  multiply<T, 64>(X, m, B, bias, Y);
}
#endif

}  // namespace

// Chosen by hand and not by an ifunc, whose resolver runs before a sanitizer's run time is up.
template <typename T>
std::vector<Gemm<T>> gemm_variants() {
  std::vector<Gemm<T>> variants{multiply_baseline<T>};
#if AC_X86_DISPATCH
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) variants.push_back(multiply_avx2<T>);
  if (__builtin_cpu_supports("avx512f")) variants.push_back(multiply_avx512<T>);
#endif
  return variants;
}

template <typename T>
void gemm(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias, T* Y) {
  static const Gemm<T> fastest = gemm_variants<T>().back();
  fastest(X, m, B, bias, Y);
}

template class PackedMatrix<float>;
template class PackedMatrix<double>;
template void gemm(const float*, std::int64_t, const PackedMatrix<float>&, const float*, float*);
template void gemm(const double*, std::int64_t, const PackedMatrix<double>&, const double*, double*);
template std::vector<Gemm<float>> gemm_variants();
template std::vector<Gemm<double>> gemm_variants();

}  // namespace atomcore::cpu
