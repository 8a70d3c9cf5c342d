#include "src/covariance_parts.hpp"

#include <map>
#include <numeric>

namespace atomcore::cpu {

Calculus calculus_of(const KernelFunction& function) {
  const auto kind = static_cast<math::KernelKind>(function.kind);
  if (kind == math::KernelKind::polynomial) return {PairSum::products, 1, 1, 1, 1};
  if (kind == math::KernelKind::laplacian) return {PairSum::magnitudes, -1, 0, 0, -1};
  return {PairSum::squares, -2, -2, -4, -1};
}

void add(TraceGradient& total, const TraceGradient& part) {
  total.variance += part.variance;
  total.shape += part.shape;
  for (std::size_t k = 0; k < total.scales.size(); ++k) total.scales[k] += part.scales[k];
}

SortedSet::SortedSet(const PointSet& set, const ScaledKernel& kernel)
    : set_(set), n_features_(kernel.n_features), order_(set.n_rows), run_ptr_{0}, x_(set.n_rows * kernel.n_features) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  for (std::size_t s = 0; s < set.n_structures; ++s) {
    const std::size_t first = first_row(s), last = first_row(s + 1);
    const auto element = [&](std::size_t i) { return set.elements == nullptr ? 0 : set.elements[order_[i]]; };
    if (set.elements != nullptr)
      std::stable_sort(order_.begin() + static_cast<std::ptrdiff_t>(first),
                       order_.begin() + static_cast<std::ptrdiff_t>(last),
                       [&](std::size_t i, std::size_t j) { return set.elements[i] < set.elements[j]; });
    for (std::size_t i = first; i < last; ++i) {
      if (i > first && element(i) == runs_.back().element)
        ++runs_.back().size;
      else
        runs_.push_back({element(i), i, 1});
    }
    run_ptr_.push_back(runs_.size());
  }
  for (std::size_t i = 0; i < set.n_rows; ++i) {
    double square = 0.0;
    for (std::size_t k = 0; k < n_features_; ++k) {
      const double x = x_.data()[i * n_features_ + k] = set.x[order_[i] * n_features_ + k] / kernel.scales[k];
      square += x * x;
    }
    check_square(square);
  }
}

void PackedJacobian::pack(const SortedSet& set, std::size_t s, const double* scales) {
  n_features_ = set.n_features();
  first_ = set.first_row(s);
  n_variables_ = set.n_variables(s);
  width_ = lanes(n_variables_);
  const std::size_t n_rows = set.first_row(s + 1) - first_;
  values_.require(n_rows * n_features_ * width_);
  const double* const given = set.set().jacobians[s];
  for (std::size_t i = 0; i < n_rows; ++i)
    for (std::size_t k = 0; k < n_features_; ++k) {
      double* const to = values_.data() + (i * n_features_ + k) * width_;
      std::fill(to, to + width_, 0.0);
      if (given == nullptr) {
        to[k] = 1 / scales[k];
        continue;
      }
      const double* const from = given + ((set.origin(first_ + i) - first_) * n_features_ + k) * n_variables_;
      for (std::size_t v = 0; v < n_variables_; ++v) to[v] = from[v] / scales[k];
    }
}

std::vector<ElementRows> by_element(const SortedSet& set) {
  std::map<std::int32_t, ElementRows> found;
  for (std::size_t s = 0; s < set.set().n_structures; ++s)
    for (const Run& run : set.runs(s)) {
      ElementRows& rows = found[run.element];
      rows.element = run.element;
      for (std::size_t i = 0; i < run.size; ++i) {
        rows.rows.push_back(run.first + i);
        rows.structure.push_back(s);
      }
    }
  std::vector<ElementRows> all;
  for (auto& [element, rows] : found) all.push_back(std::move(rows));
  return all;
}

void PairBlock::compute(const ScaledKernel& kernel, const Calculus& calculus, const SortedSet& A, std::size_t a,
                        std::size_t n_a, const SortedSet& B, std::size_t b, std::size_t n_b) {
  const KernelMatrixKernels& kernels = kernel_matrix_kernels();
  products_ = calculus.what == PairSum::products;
  n_a_ = n_a;
  n_b_ = n_b;
  n_features_ = kernel.n_features;
  own_a_ = A.row(a);
  own_b_ = B.row(b);
  const std::size_t n = n_a * n_b, whole = lanes(n);
  sums_.require(whole);
  jets_.require(4 * whole);
  directions_.require(n * n_features_);
  for (std::size_t i = 0; i < n_a; ++i)
    kernels.pairs(calculus.what, A.row(a + i), own_b_, n_b, n_features_, sums_.data() + i * n_b,
                  directions_.data() + i * n_b * n_features_);
  std::fill(sums_.data() + n, sums_.data() + whole, 0.0);
  kernels.jets(kernel.function, sums_.data(), whole, jets_.data());
}

}  // namespace atomcore::cpu
