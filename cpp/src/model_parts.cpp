#include "src/model_parts.hpp"

#include <algorithm>
#include <limits>

namespace atomcore {
namespace {

// An index of -1 stands for every element, or for none.
bool can_vary(const FeatureRow& row, const std::vector<bool>& present) {
  const auto there = [&](std::int32_t species) { return species < 0 || present[static_cast<std::size_t>(species)]; };
  return there(row.a) && there(row.b);
}

}  // namespace

template <typename T>
ModelParts<T>::ModelParts(const ModelRecord& model)
    : features_(model.features),
      networks_(model),
      ranges_(model, static_cast<double>(std::numeric_limits<T>::epsilon())) {}

template <typename T>
std::shared_ptr<const ModelPart<T>> ModelParts<T>::part(const std::vector<bool>& present) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = std::find_if(made_.begin(), made_.end(), [&](const auto& item) { return item.first == present; });
  if (found == made_.end()) {
    made_.emplace_front(present, make(present));
    if (made_.size() > kKept) made_.pop_back();
  } else {
    made_.splice(made_.begin(), made_, found);
  }
  return made_.front().second;
}

template <typename T>
std::shared_ptr<const ModelPart<T>> ModelParts<T>::make(const std::vector<bool>& present) const {
  std::vector<std::size_t> columns;
  std::vector<FeatureRow> rows;
  for (std::size_t k = 0; k < features_.rows.size(); ++k)
    if (can_vary(features_.rows[k], present)) {
      columns.push_back(k);
      rows.push_back(features_.rows[k]);
    }
  std::unique_ptr<cpu::PreparedPlan<T>> plan;
  if (!rows.empty()) {
    const FeaturePlan compiled = compile_features(rows, static_cast<int>(present.size()), features_.weights);
    plan = std::make_unique<cpu::PreparedPlan<T>>(compiled.view());
  }
  return std::make_shared<const ModelPart<T>>(
      ModelPart<T>{columns.size(), std::move(plan), networks_.of_columns(columns), ranges_.of_columns(columns)});
}

template class ModelParts<float>;
template class ModelParts<double>;

}  // namespace atomcore
