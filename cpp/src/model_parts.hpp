// A model cut down to the elements of a structure.
//
// A function of elements that a structure does not have is zero for every atom of it. Such features are never computed,
// nor are the rows of the networks' first layers that read them: what these constants contribute is in the biases.
//
// A head turns the features of atoms into their energies: ElementNetworks, or ElementKernels, which know no such cut
// and keep all features.
#pragma once

#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "src/element_kernels.hpp"
#include "src/element_networks.hpp"
#include "src/feature_ranges.hpp"
#include "src/feature_rows.hpp"

namespace atomcore {

template <typename Head>
struct ModelPart {
  using T = typename Head::Scalar;
  using Plan = std::unique_ptr<cpu::PreparedPlan<T>>;  // null where there are no functions
  std::size_t n_columns;                               // features that can be other than zero
  // For each element the features that its head reads, and those that only tell of extrapolation.
  std::vector<Plan> read, unread;
  Head head;
  FeatureRanges ranges;
};

// Immutable but for a store of the parts last used; may be called by any number of threads at a time.
template <typename Head>
class ModelParts {
 public:
  using T = typename Head::Scalar;
  template <typename Record>
  explicit ModelParts(const Record& model)
      : features_(model.features),
        head_(model),
        ranges_(model.elements, static_cast<double>(std::numeric_limits<T>::epsilon())) {}

  std::size_t members() const { return head_.members(); }
  bool ranges_known() const { return ranges_.known(); }
  bool graded() const { return head_.graded(); }
  // For structures with exactly the elements that are marked.
  std::shared_ptr<const ModelPart<Head>> part(const std::vector<bool>& present) const;

 private:
  std::shared_ptr<const ModelPart<Head>> make(const std::vector<bool>& present) const;
  typename ModelPart<Head>::Plan plan_of(const std::vector<std::size_t>& columns, std::size_t element, bool read) const;

  static constexpr std::size_t kKept = 8;
  FeatureTable features_;
  Head head_;
  FeatureRanges ranges_;
  mutable std::mutex mutex_;
  mutable std::list<std::pair<std::vector<bool>, std::shared_ptr<const ModelPart<Head>>>> made_;  // last used first
};

}  // namespace atomcore
