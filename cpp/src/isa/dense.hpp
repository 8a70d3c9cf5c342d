// The dense kernels of networks, compiled for each instruction set (isa.hpp).
#pragma once

#include <cstddef>

namespace atomcore {

enum class Activation { silu, tanh, relu, celu, sigmoid, softplus, identity, gaussian, cosine, exponential, square };

}  // namespace atomcore

namespace atomcore::cpu {

// The weights [outputs, inputs] of a layer, in panels of one line of 64 bytes of outputs: line k of a panel holds the
// weights of input k for the outputs of the panel. Both products below read this one copy. Rows of inputs (outputs) are
// input_stride (output_stride) numbers long, whole lines; the numbers behind the last are zero. Panels have
// input_stride lines and are panel_lines apart.
template <typename T>
struct PanelView {
  const T* values;
  std::size_t inputs, outputs, input_stride, output_stride, panel_lines;
};

// Each row comes out as the same sums in the same order whatever the other rows are: results do not depend on how a
// batch is cut.
template <typename T>
struct DenseKernels {
  // y[m, outputs] = x[m, inputs] W^T + bias; bias has output_stride numbers.
  void (*forward)(const T* x, std::size_t m, const PanelView<T>& W, const T* bias, T* y);
  // g_x[m, inputs] = g[m, outputs] W
  void (*backward)(const T* g, std::size_t m, const PanelView<T>& W, T* g_x);
  // z becomes f(z) and slope f'(z); n numbers fill whole lines.
  void (*activate)(Activation f, T* z, T* slope, std::size_t n);
  // y *= x, likewise
  void (*multiply)(const T* x, T* y, std::size_t n);
  // The sum of x[k] w[k] over n numbers that fill whole lines.
  T (*dot)(const T* x, const T* w, std::size_t n);
  // y[k] = (x[k] - shift[k]) * factor[k] and y[k] = x[k] * factor[k], computed in double.
  void (*standardize)(const T* x, const double* shift, const double* factor, std::size_t n, T* y);
  void (*scale)(const T* x, const double* factor, std::size_t n, T* y);
};

#define ATOMCORE_DECLARE(isa)                      \
  namespace isa {                                  \
  extern const DenseKernels<float> kDenseFloat32;  \
  extern const DenseKernels<double> kDenseFloat64; \
  }
ATOMCORE_DECLARE(portable)
ATOMCORE_DECLARE(avx2)
ATOMCORE_DECLARE(avx512)
#undef ATOMCORE_DECLARE

}  // namespace atomcore::cpu
