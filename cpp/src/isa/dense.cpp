#include "src/isa/dense.hpp"

#include <utility>

#include "math/activations.hpp"
#include "math/pack_functions.hpp"

namespace atomcore::cpu {
namespace {

using math::Pack;

template <typename T>
constexpr std::size_t kLine = 64 / sizeof(T);
template <typename T>
constexpr std::size_t kWidth = static_cast<std::size_t>(Pack<T>::kWidth);
constexpr int kVectors = 64 / math::kPackBytes;  // registers that a line takes
constexpr bool kWide = math::kPackBytes == 64;   // with 32 registers, where the others have 16

// The rows first, first + 1, ... of a matrix; a short last tile repeats its last row and computes it again.
template <int kRows, typename T>
struct Rows {
  Rows(T* matrix, std::size_t stride, std::size_t first, std::size_t m) {
    for (int r = 0; r < kRows; ++r) {
      const std::size_t i = first + static_cast<std::size_t>(r);
      row[r] = matrix + (i < m ? i : m - 1) * stride;
    }
  }
  T* row[kRows];
};

// ---- y = x W^T + bias

// kRows rows and kPanels panels, whose sums stay in registers.
template <int kRows, int kPanels, typename T>
[[gnu::always_inline]] inline void forward_tile(const Rows<kRows, const T>& x, const PanelView<T>& W, std::size_t at,
                                                const T* bias, const Rows<kRows, T>& y) {
  const T* const panels = W.values + at * W.panel_lines;
  Pack<T> sum[kRows][kPanels * kVectors];
  for (int v = 0; v < kPanels * kVectors; ++v) {
    const Pack<T> start = math::load_pack(bias + at + static_cast<std::size_t>(v) * kWidth<T>);
    for (int r = 0; r < kRows; ++r) sum[r][v] = start;
  }
  for (std::size_t k = 0; k < W.inputs; ++k) {
    Pack<T> w[kPanels * kVectors];
    for (int p = 0; p < kPanels; ++p)
      for (int v = 0; v < kVectors; ++v)
        w[p * kVectors + v] = math::load_pack(panels + (static_cast<std::size_t>(p) * W.panel_lines + k) * kLine<T> +
                                              static_cast<std::size_t>(v) * kWidth<T>);
    for (int r = 0; r < kRows; ++r) {
      const Pack<T> input(x.row[r][k]);
      for (int v = 0; v < kPanels * kVectors; ++v) sum[r][v] += input * w[v];
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < kPanels * kVectors; ++v)
      math::store_pack(y.row[r] + at + static_cast<std::size_t>(v) * kWidth<T>, sum[r][v]);
}

// All panels from the one of output `at` on, kPanels at a time as long as there are that many.
template <int kRows, int kPanels, typename T>
void forward_panels(const T* x, std::size_t m, const PanelView<T>& W, const T* bias, T* y, std::size_t at) {
  constexpr std::size_t step = kPanels * kLine<T>;
  for (; at + step <= W.output_stride; at += step)
    for (std::size_t i = 0; i < m; i += kRows)
      forward_tile<kRows, kPanels, T>({x, W.input_stride, i, m}, W, at, bias, {y, W.output_stride, i, m});
  if constexpr (kPanels > 1) forward_panels<kRows, kPanels / 2>(x, m, W, bias, y, at);
}

// Sums fill enough registers to hide the latency of a multiply-add.
template <typename T>
void forward(const T* x, std::size_t m, const PanelView<T>& W, const T* bias, T* y) {
  constexpr int kRows = kWide ? 8 : 8 / kVectors;
  const std::size_t rest = m % kRows, whole = m - rest;
  if (whole > 0) forward_panels<kRows, kWide ? 3 : 1>(x, whole, W, bias, y, 0);
  x += whole * W.input_stride;
  y += whole * W.output_stride;
  if (rest == 1)
    forward_panels<1, 8 / kVectors>(x, rest, W, bias, y, 0);
  else if (rest > 0 && rest <= kRows / 2)
    forward_panels<kRows / 2, kWide ? 6 : 2>(x, rest, W, bias, y, 0);
  else if (rest > 0)
    forward_panels<kRows, kWide ? 3 : 1>(x, rest, W, bias, y, 0);
}

// ---- g_x = g W

template <int kBlock, typename Vector, int... kLane>
[[gnu::always_inline]] inline Vector added_blocks(const Vector& a, const Vector& b,
                                                  std::integer_sequence<int, kLane...>) {
  constexpr int n = sizeof...(kLane);
  constexpr auto even = [](int lane) {
    return lane / kBlock % 2 * n + lane / (2 * kBlock) * 2 * kBlock + lane % kBlock;
  };
  return __builtin_shufflevector(a, b, even(kLane)...) + __builtin_shufflevector(a, b, (even(kLane) + kBlock)...);
}

// Lane l of the result is the sum of the lanes of x[l]: each step adds neighbouring blocks of lanes of two vectors, and
// the result has the blocks of both in turn.
template <int kBlock = 1, typename T>
[[gnu::always_inline]] inline Pack<T> sums_of_lanes(const Pack<T>* x) {
  constexpr int n = Pack<T>::kWidth;
  if constexpr (kBlock == n) {
    return x[0];
  } else {
    Pack<T> half[n / (2 * kBlock)];
    for (int i = 0; i < n / (2 * kBlock); ++i)
      half[i] = added_blocks<kBlock>(x[2 * i].v, x[2 * i + 1].v, std::make_integer_sequence<int, n>{});
    return sums_of_lanes<2 * kBlock>(half);
  }
}

// kRows rows times kLines lines: products with whole lines of outputs are summed lane by lane over the panels, and the
// lanes at last.
template <int kRows, int kLines, typename T>
[[gnu::always_inline]] inline void backward_tile(const Rows<kRows, const T>& g, const PanelView<T>& W, std::size_t at,
                                                 const Rows<kRows, T>& g_x) {
  Pack<T> sum[kRows * kLines];
  for (Pack<T>& s : sum) s = Pack<T>(T(0));
  for (std::size_t panel = 0; panel < W.output_stride; panel += kLine<T>) {
    const T* const lines = W.values + panel * W.panel_lines + at * kLine<T>;
    for (std::size_t v = 0; v < kLine<T>; v += kWidth<T>) {
      Pack<T> upper[kRows];
      for (int r = 0; r < kRows; ++r) upper[r] = math::load_pack(g.row[r] + panel + v);
      for (int l = 0; l < kLines; ++l) {
        const Pack<T> w = math::load_pack(lines + static_cast<std::size_t>(l) * kLine<T> + v);
        for (int r = 0; r < kRows; ++r) sum[r * kLines + l] += upper[r] * w;
      }
    }
  }
  T total[kRows * kLines];
  for (int s = 0; s < kRows * kLines; s += Pack<T>::kWidth) math::store_pack(total + s, sums_of_lanes(sum + s));
  for (int r = 0; r < kRows; ++r) __builtin_memcpy(g_x.row[r] + at, total + r * kLines, kLines * sizeof(T));
}

template <typename T>
void backward(const T* g, std::size_t m, const PanelView<T>& W, T* g_x) {
  constexpr int kLines = kWide && sizeof(T) == 4 ? 8 : 4, kRows = kWide ? 16 / kLines : 8 / kLines;
  for (std::size_t at = 0; at < W.input_stride; at += kLines)
    for (std::size_t i = 0; i < m; i += kRows)
      backward_tile<kRows, kLines, T>({g, W.output_stride, i, m}, W, at, {g_x, W.input_stride, i, m});
}

// ---- what works number by number

template <typename T, typename Function>
[[gnu::always_inline]] inline void activate_with(Function f, T* z, T* slope, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kWidth<T>) {
    const math::Jet<Pack<T>> y = f(math::load_pack(z + i));
    math::store_pack(z + i, y.f);
    math::store_pack(slope + i, y.d);
  }
}

template <typename T>
void activate(Activation activation, T* z, T* slope, std::size_t n) {
  using P = Pack<T>;
  switch (activation) {
    case Activation::silu:
      return activate_with([](const P& x) { return math::silu(x); }, z, slope, n);
    case Activation::tanh:
      return activate_with([](const P& x) { return math::hyperbolic_tangent(x); }, z, slope, n);
    case Activation::relu:
      return activate_with([](const P& x) { return math::relu(x); }, z, slope, n);
    case Activation::celu:
      return activate_with([](const P& x) { return math::celu(x); }, z, slope, n);
    case Activation::sigmoid:
      return activate_with([](const P& x) { return math::sigmoid(x); }, z, slope, n);
    case Activation::softplus:
      return activate_with([](const P& x) { return math::softplus(x); }, z, slope, n);
    case Activation::identity:
      return activate_with([](const P& x) { return math::identity(x); }, z, slope, n);
    case Activation::gaussian:
      return activate_with([](const P& x) { return math::unit_gaussian(x); }, z, slope, n);
    case Activation::cosine:
      return activate_with([](const P& x) { return math::cosine(x); }, z, slope, n);
    case Activation::exponential:
      return activate_with([](const P& x) { return math::falling_exponential(x); }, z, slope, n);
    case Activation::square:
      return activate_with([](const P& x) { return math::square(x); }, z, slope, n);
  }
}

template <typename T>
void multiply(const T* x, T* y, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kWidth<T>)
    math::store_pack(y + i, math::load_pack(x + i) * math::load_pack(y + i));
}

template <typename T>
T dot(const T* x, const T* w, std::size_t n) {
  Pack<T> sum(T(0));
  for (std::size_t i = 0; i < n; i += kWidth<T>) sum += math::load_pack(x + i) * math::load_pack(w + i);
  return math::sum_of_lanes(sum);
}

template <typename T>
void standardize(const T* x, const double* shift, const double* factor, std::size_t n, T* __restrict y) {
  for (std::size_t k = 0; k < n; ++k) y[k] = static_cast<T>((static_cast<double>(x[k]) - shift[k]) * factor[k]);
}

template <typename T>
void scale(const T* x, const double* factor, std::size_t n, T* __restrict y) {
  for (std::size_t k = 0; k < n; ++k) y[k] = static_cast<T>(static_cast<double>(x[k]) * factor[k]);
}

template <typename T>
constexpr DenseKernels<T> kKernels{forward<T>, backward<T>, activate<T>, multiply<T>, dot<T>, standardize<T>, scale<T>};

}  // namespace

namespace AC_ISA {
const DenseKernels<float> kDenseFloat32 = kKernels<float>;
const DenseKernels<double> kDenseFloat64 = kKernels<double>;
}  // namespace AC_ISA

}  // namespace atomcore::cpu
