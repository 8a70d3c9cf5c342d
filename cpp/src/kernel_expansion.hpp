// What every trained kernel machine is: a sum of kernels, and of their derivatives, at the centres it was trained on.
//
//   f(x) = sum_m [ c_m k(x, z_m) + v_m . dk(x, z_m)/dz_m ]
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "atomcore/span.hpp"
#include "math/distance_kernels.hpp"
#include "src/gemm.hpp"
#include "src/isa/kernel_expansion.hpp"

namespace atomcore {

// In the order of math::KernelKind.
inline constexpr std::array<const char*, math::kKernelKinds> kKernelNames{
    "rbf", "matern12", "matern32", "matern52", "rational_quadratic", "laplacian", "polynomial"};

namespace cpu {

struct KernelSum {
  math::KernelKind kind;
  math::KernelParameters parameters;
  std::size_t n_features;
  std::vector<double> centres;                  // [M, n_features], divided by the lengths of the kernel, if it has many
  std::vector<double> coefficients;             // [M], or empty
  std::vector<double> derivative_coefficients;  // [M, n_features], or empty
  double length = 1.0;                          // of radial kernels: distances are divided by it
};

// Prepared for many points. Immutable: any number of threads may use one, each with its own workspace.
class KernelExpansion {
 public:
  struct Workspace {
    Lines<double> buffer;
  };
  // Throws Error(invalid_value) for derivatives of a kernel that has none where two points are one.
  explicit KernelExpansion(const KernelSum& sum);

  std::size_t n_features() const { return n_features_; }
  // values [n] = f(x) and, unless it is null, gradients [n, n_features] = df/dx, of points x [n, n_features] on the
  // scale of the centres. Bitwise the same for a point whatever others come with it.
  void evaluate(const double* x, std::size_t n, double* values, double* gradients, Workspace& work) const;

 private:
  math::KernelKind kind_;
  math::KernelParameters parameters_;
  double inverse_square_;
  std::size_t n_features_, n_panels_;
  Lines<double> centres_, coefficients_, directions_;
};

// The kernels of the active instruction set.
const ExpansionKernels& expansion_kernels();

}  // namespace cpu
}  // namespace atomcore
