// A model cut down to the elements of a structure.
//
// A function of elements that a structure does not have is zero for every atom of it. Such features are never computed,
// nor are the rows of the networks' first layers that read them: what these constants contribute is in the biases.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "src/element_networks.hpp"
#include "src/feature_ranges.hpp"
#include "src/feature_rows.hpp"
#include "src/model_file.hpp"

namespace atomcore {

template <typename T>
struct ModelPart {
  using Plan = std::unique_ptr<cpu::PreparedPlan<T>>;  // null where there are no functions
  std::size_t n_columns;                               // features that can be other than zero
  // For each element the features that its networks read, and those that only tell of extrapolation.
  std::vector<Plan> read, unread;
  ElementNetworks<T> networks;
  FeatureRanges ranges;
};

// Immutable but for a store of the parts last used; may be called by any number of threads at a time.
template <typename T>
class ModelParts {
 public:
  explicit ModelParts(const NetworkRecord& model);

  std::size_t members() const { return networks_.members(); }
  // For structures with exactly the elements that are marked.
  std::shared_ptr<const ModelPart<T>> part(const std::vector<bool>& present) const;

 private:
  std::shared_ptr<const ModelPart<T>> make(const std::vector<bool>& present) const;
  typename ModelPart<T>::Plan plan_of(const std::vector<std::size_t>& columns, std::size_t element, bool read) const;

  static constexpr std::size_t kKept = 8;
  FeatureTable features_;
  ElementNetworks<T> networks_;
  FeatureRanges ranges_;
  mutable std::mutex mutex_;
  mutable std::list<std::pair<std::vector<bool>, std::shared_ptr<const ModelPart<T>>>> made_;  // last used first
};

}  // namespace atomcore
