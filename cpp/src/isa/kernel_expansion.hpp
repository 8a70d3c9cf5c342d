// Sums of kernels at many points, compiled for each instruction set (isa.hpp).
#pragma once

#include <cstddef>

namespace atomcore::cpu {

constexpr std::size_t kPanel = 8;        // centres side by side: a line of doubles
constexpr std::size_t kChunkPanels = 4;  // panels that are read twice while they are in the first cache
constexpr std::size_t kTilePoints = 8;   // points that go through the centres together

// Centres in panels: number k of panel b is the line [b, k] of `centres`, and of `directions`.
struct ExpansionView {
  int kind;               // math::KernelKind
  double a, b;            // math::KernelParameters
  double inverse_square;  // of the length: what sums of |x - z|^2 are multiplied by; 1 for other kernels
  std::size_t n_features;
  std::size_t n_panels;        // a multiple of kChunkPanels; what is behind the last centre has no coefficients
  const double* centres;       // [n_panels, n_features, kPanel]
  const double* coefficients;  // [n_panels, kPanel]
  const double* directions;    // [n_panels, n_features, kPanel], or null
};

struct ExpansionKernels {
  // values[n] and, unless it is null, gradients[n, n_features] of points x[n, n_features], n up to kTilePoints.
  // work has expansion_work() numbers. Each point comes out as the same sums in the same order whatever the others are.
  void (*evaluate)(const ExpansionView& sum, const double* x, std::size_t n, double* values, double* gradients,
                   double* work);
};

// Sums of lanes for the gradients and the values, and two numbers about every pair of a point and a centre.
constexpr std::size_t expansion_work(std::size_t n_features) {
  return kTilePoints * kPanel * (n_features + 1 + 2 * kChunkPanels);
}

#define ATOMCORE_DECLARE(isa)               \
  namespace isa {                           \
  extern const ExpansionKernels kExpansion; \
  }
ATOMCORE_DECLARE(portable)
ATOMCORE_DECLARE(avx2)
ATOMCORE_DECLARE(avx512)
#undef ATOMCORE_DECLARE

}  // namespace atomcore::cpu
