// Symmetry functions one centre at a time: what the kernels over whole graphs and the fused engine share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/isa/feature_data.hpp"
#include "src/kernels.hpp"

namespace atomcore::cpu {

// A plan made ready for one precision: functions sorted into families, parameters converted. Immutable.
template <typename T>
class PreparedPlan {
 public:
  // With `columns`, those of the plan stand at columns[0], columns[1], ... of rows of n_features numbers.
  explicit PreparedPlan(Plan plan, span<const std::int32_t> columns = {}, std::int32_t n_features = 0);
  PreparedPlan(const PreparedPlan&) = delete;
  PreparedPlan& operator=(const PreparedPlan&) = delete;

  std::int64_t n_features() const { return data_.n_features; }
  const PlanData<T>& data() const { return data_; }

 private:
  void read_radial();
  void read_angular();
  void add_family(const std::int32_t* set, const std::int32_t* angular, const std::vector<std::int32_t>& members,
                  bool by_moments);
  void add_moments(FamilyData<T>& family);
  void make_monomials();
  GroupData<T> read_group(const std::int32_t* record, std::int32_t n_shells, const std::int32_t* table,
                          std::int32_t number, const std::vector<std::int32_t>& angles);
  const std::int32_t* columns_at(std::int32_t offset, std::int32_t n);
  const T* weights_at(std::int32_t offset) const { return offset < 0 ? nullptr : parameters_.data() + offset; }
  CutoffData<T> cutoff_at(std::int32_t offset) const;

  std::vector<T> parameters_;
  std::vector<std::int32_t> table_, columns_;
  std::vector<RadialData<T>> radial_;
  std::vector<FamilyData<T>> families_;
  std::vector<GroupData<T>> groups_;
  std::vector<std::vector<std::int32_t>> lists_;  // that groups point to
  std::vector<std::vector<T>> numbers_;
  PlanData<T> data_{};
};

// The prepared form of a plan: that of an earlier call if it is one of the few that this thread used last.
template <typename T>
std::shared_ptr<const PreparedPlan<T>> prepared_plan(Plan plan);

// The workspace of one thread, which must not outlive the plan. With tangents, forward gives J v and adjoint
// d/dD (g^T J v).
template <typename T>
class FeatureRows {
 public:
  explicit FeatureRows(const PreparedPlan<T>& plan, bool with_tangents = false);

  // Takes in the neighbourhood of one centre: edge vectors D [n, 3], the species [n] of their ends, and tangents v
  // [n, 3]. The arrays must stay until the next load.
  void load(const T* D, const std::int32_t* species, std::size_t n, const T* v = nullptr);
  // G [n_features], every number written.
  void forward(T* G);
  // g_D [count, n, 3] = J^T g for cotangents g + m * stride, m < count, each [n_features].
  void adjoint(const T* g, std::size_t count, std::size_t stride, T* g_D);
  // Adds to the blocks of the sparse Jacobian.
  void jacobian(const JacobianRow<T>& out);

 private:
  void reserve(std::size_t n, std::size_t count);
  struct Free {
    void operator()(T* memory) const { ::operator delete(memory, std::align_val_t{64}); }
  };

  const PlanData<T>& plan_;
  const FeatureKernels<T>& kernels_;
  RowInput<T> row_{};
  std::unique_ptr<T, Free> memory_;
  std::size_t size_ = 0, most_neighbors_ = 0, most_cotangents_ = 0;
};

}  // namespace atomcore::cpu
