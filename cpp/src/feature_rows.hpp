// Symmetry functions one centre at a time: what the kernels over whole graphs and the fused engine share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/kernels.hpp"

namespace atomcore::cpu {

template <typename T>
struct PlanView;

// A plan made ready for one precision; immutable. The plan's table must outlive it.
template <typename T>
class PreparedPlan {
 public:
  explicit PreparedPlan(Plan plan);
  ~PreparedPlan();
  std::int64_t n_features() const;
  const PlanView<T>& view() const { return *view_; }

 private:
  std::unique_ptr<const PlanView<T>> view_;
};

// The workspace of one thread, which must not outlive the plan.
template <typename T>
class FeatureRows {
 public:
  explicit FeatureRows(const PreparedPlan<T>& plan);
  ~FeatureRows();

  // Takes in the neighbourhood of one centre: edge vectors D [n, 3] and the species [n] of their ends.
  void load(const T* D, const std::int32_t* species, std::size_t n);
  // G [n_features], every number written.
  void forward(T* G);
  // g_D [count, n, 3] = J^T g for cotangents g + m * stride, m < count, each [n_features].
  void adjoint(const T* g, std::size_t count, std::size_t stride, T* g_D);

 private:
  struct Workspace;
  std::unique_ptr<Workspace> work_;
};

}  // namespace atomcore::cpu
