// Covariances of energies and gradients of structures, which are sums over pairs of rows of features of one element:
//
//   E_A with E_B                   sum_ab k(x_a, x_b)
//   E_A with dE_B/dr               sum_ab J_b^T dk/dx_b
//   dE_A/dr with dE_B/dr           sum_ab J_a^T d2k/dx_a dx_b J_b
//
// All energies stand first, then the gradients, structure by structure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/isa/kernel_matrix.hpp"

namespace atomcore::cpu {

// Structures as rows of features, not yet divided by the lengths of the kernel.
struct PointSet {
  std::size_t n_rows, n_structures;
  const double* x;                    // [n_rows, n_features]
  const std::int32_t* elements;       // [n_rows], or null: all are of one
  const std::int64_t* structure_ptr;  // [n_structures + 1], rows
  // The derivatives of the rows of each structure in its m variables, [rows, n_features, m]; or empty. Null for the
  // identity: the features are the variables.
  std::vector<const double*> jacobians;
  const std::int64_t* gradient_ptr;  // [n_structures + 1], gradients of structures among all; null without
};

// What is observed of each structure.
struct Observed {
  bool energies, gradients;
  std::size_t n_energies(const PointSet& set) const { return energies ? set.n_structures : 0; }
  std::size_t size(const PointSet& set) const {
    return n_energies(set) + (gradients ? static_cast<std::size_t>(set.gradient_ptr[set.n_structures]) : 0);
  }
};

// A kernel of features that are divided by `scales` [n_features].
struct ScaledKernel {
  KernelFunction function;
  std::size_t n_features;
  const double* scales;
};

// out[rows, columns] of A with B, or of A with itself (B null): each pair is computed once then, and both halves
// filled. `columns` of the latter are `rows`.
void covariance(const ScaledKernel& kernel, const PointSet& A, Observed rows, const PointSet* B, Observed columns,
                double* out, int n_threads);

// The variances of what is observed of each structure, out[rows]: the diagonal of its covariance with itself.
void covariance_diagonal(const ScaledKernel& kernel, const PointSet& A, Observed rows, double* out, int n_threads);

// The derivatives of sum_ij W_ij K_ij of the matrix above in the logarithms of the variance, of alpha of the rational
// quadratic kernel (0 for others) and of the scales [n_features]; or of all scales at once [1], which is less work.
struct TraceGradient {
  double variance = 0, shape = 0;
  std::vector<double> scales;
};
TraceGradient gradient_of_trace(const ScaledKernel& kernel, const PointSet& A, Observed rows, const PointSet* B,
                                Observed columns, const double* W, bool one_scale, int n_threads);

}  // namespace atomcore::cpu
