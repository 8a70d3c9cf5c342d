// What covariances and their derivatives in hyper-parameters share: rows in the order that they are worked on, and what
// a kernel has to say of a pair of rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "math/distance_kernels.hpp"
#include "src/covariance.hpp"
#include "src/gemm.hpp"
#include "src/kernel_matrix.hpp"

namespace atomcore::cpu {

constexpr std::size_t lanes(std::size_t n) { return (n + kLane - 1) / kLane * kLane; }

// How the derivatives of a kernel in its features follow from those in the sum q over features. With directions L and R
// of the two rows a and b (the difference x_a - x_b or its signs for both; x_b and x_a for products):
//
//   dk/dx_b = first R      dk/dx_a = opposite first L      d2k/dx_a dx_b = second I + outer L R^T
struct Calculus {
  PairSum what;
  double first, second, outer;  // factors before k', k' and k''
  double opposite;              // 1 for products, otherwise -1
};
Calculus calculus_of(const KernelFunction& function);

// Adds what another part of the pairs contributes.
void add(TraceGradient& total, const TraceGradient& part);

// The rows of one element in one structure, in a SortedSet.
struct Run {
  std::int32_t element;
  std::size_t first, size;
};

// Rows divided by the scales, each structure's sorted by element.
class SortedSet {
 public:
  SortedSet() = default;
  SortedSet(const PointSet& set, const ScaledKernel& kernel);
  const PointSet& set() const { return set_; }
  std::size_t n_features() const { return n_features_; }
  const double* row(std::size_t i) const { return x_.data() + i * n_features_; }
  span<const Run> runs(std::size_t s) const { return {runs_.data() + run_ptr_[s], run_ptr_[s + 1] - run_ptr_[s]}; }
  std::size_t first_row(std::size_t s) const { return static_cast<std::size_t>(set_.structure_ptr[s]); }
  std::size_t n_variables(std::size_t s) const {
    return static_cast<std::size_t>(set_.gradient_ptr[s + 1] - set_.gradient_ptr[s]);
  }
  std::size_t gradient(std::size_t s) const { return static_cast<std::size_t>(set_.gradient_ptr[s]); }
  // Where row i of the order here stands in the set.
  std::size_t origin(std::size_t i) const { return order_[i]; }

 private:
  PointSet set_{};
  std::size_t n_features_ = 0;
  std::vector<std::size_t> order_, run_ptr_;
  std::vector<Run> runs_;
  PooledArray<double> x_;
};

// The Jacobian of one structure, divided by the scales, rows as sorted: [rows, n_features, width], width whole lanes.
class PackedJacobian {
 public:
  void pack(const SortedSet& set, std::size_t s, const double* scales);
  const double* row(std::size_t i) const { return values_.data() + (i - first_) * n_features_ * width_; }
  std::size_t width() const { return width_; }
  std::size_t n_variables() const { return n_variables_; }

 private:
  std::size_t first_ = 0, n_features_ = 0, width_ = 0, n_variables_ = 0;
  Lines<double> values_;
};

// The rows of one element in all structures, with the structure of each.
struct ElementRows {
  std::int32_t element;
  std::vector<std::size_t> rows;       // of the sorted set
  std::vector<std::size_t> structure;  // of each, rising
};
std::vector<ElementRows> by_element(const SortedSet& set);

// Calls body(run of A, run of B) for runs of one element.
template <typename Body>
void for_common(span<const Run> A, span<const Run> B, const Body& body) {
  for (std::size_t a = 0, b = 0; a < A.size() && b < B.size();) {
    if (A[a].element == B[b].element)
      body(A[a++], B[b++]);
    else if (A[a].element < B[b].element)
      ++a;
    else
      ++b;
  }
}

// Pairs of the rows a.. of A and b.. of B: sums, directions and what follows from them.
class PairBlock {
 public:
  static constexpr std::size_t kMost = 256;  // pairs at a time
  void compute(const ScaledKernel& kernel, const Calculus& calculus, const SortedSet& A, std::size_t a, std::size_t n_a,
               const SortedSet& B, std::size_t b, std::size_t n_b);
  std::size_t n_b() const { return n_b_; }
  double q(std::size_t a, std::size_t b) const { return sums_.data()[a * n_b_ + b]; }
  // Derivative number `order` of the kernel in the sum.
  double jet(std::size_t order, std::size_t a, std::size_t b) const {
    return jets_.data()[order * lanes(n_a_ * n_b_) + a * n_b_ + b];
  }
  // Rows of directions: L of (a, b) for b = 0, 1, .. and R of (a, b) for a = 0, 1, ..
  const double* left(std::size_t a) const { return products_ ? own_b_ : directions_.data() + a * n_b_ * n_features_; }
  std::size_t left_stride() const { return n_features_; }
  const double* right(std::size_t b) const { return products_ ? own_a_ : directions_.data() + b * n_features_; }
  std::size_t right_stride() const { return products_ ? n_features_ : n_b_ * n_features_; }
  const Lines<double>& sums() const { return sums_; }

 private:
  bool products_ = false;
  std::size_t n_a_ = 0, n_b_ = 0, n_features_ = 0;
  const double *own_a_ = nullptr, *own_b_ = nullptr;
  Lines<double> sums_, directions_, jets_;
};

}  // namespace atomcore::cpu
