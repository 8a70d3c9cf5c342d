// The predictive variance of a Gaussian process (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
// equation 2.26): that of the prior, less what the observations explain. With k_* the covariances of what is predicted
// and the observations,
//
//   exact    k_** - |L^-1 k_*|^2                        L L^T = K + noise
//   sparse   k_** - |L^-1 k_*|^2 + |M^-1 L^-1 k_*|^2    L L^T = K of the inducing points, M M^T = 1 + their projections
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "atomcore/span.hpp"
#include "math/distance_kernels.hpp"

namespace atomcore {

// Structures as points in the space of features, divided by the lengths of the kernel. Points of different elements do
// not covary; the energies of points add up to that of their structure.
struct PointSet {
  std::vector<double> x;               // [n, n_features]
  std::vector<std::int32_t> elements;  // [n]
  std::vector<std::size_t> first;      // [S + 1]: the points of a structure
  // Derivatives in the variables of each structure, one behind the other; or empty.
  std::vector<std::size_t> variables;  // [S], m_s
  std::vector<double> jacobian;        // sum of [n_s, n_features, m_s]
};

// What was observed, in this order: for each batch of structures all energies, then all derivatives.
struct VarianceRecord {
  math::KernelKind kind;
  math::KernelParameters parameters;
  double variance;  // of the kernel, eV^2
  std::size_t n_features;
  std::vector<std::int64_t> columns;  // [n_features], of the features of the model
  PointSet observed;
  std::vector<std::size_t> batches;  // [B + 1], of structures
  bool energies, gradients;
  std::vector<double> factor, outer_factor;  // L and M: lower triangles, row by row; the second may be empty
};

// Does not change once made.
class KernelVariance {
 public:
  explicit KernelVariance(std::shared_ptr<const VarianceRecord> record);

  struct Result {
    double energy;                  // eV^2
    std::vector<double> energies;   // [n], of each point
    std::vector<double> variables;  // [m], of the derivatives of the energy
  };
  // Of one structure, for whose derivatives the set has a Jacobian. Bitwise the same for any number of threads. Throws
  // Error(invalid_value) where the kernel is not smooth enough for derivatives, Error(out_of_memory), Interrupted.
  Result of(const PointSet& structure, int n_threads) const;

 private:
  void covary(const PointSet& structure, double* covariances, int n_threads) const;

  std::shared_ptr<const VarianceRecord> record_;
  std::vector<std::size_t> row_of_energy_, row_of_gradient_, first_jacobian_;  // [S]
  std::size_t n_observed_ = 0;
};

}  // namespace atomcore
