#include "src/model_parts.hpp"

#include <algorithm>

namespace atomcore {
namespace {

// An index of -1 stands for every element, or for none.
bool can_vary(const FeatureRow& row, const std::vector<bool>& present) {
  const auto there = [&](std::int32_t species) { return species < 0 || present[static_cast<std::size_t>(species)]; };
  return there(row.a) && there(row.b);
}

}  // namespace

template <typename Head>
std::shared_ptr<const ModelPart<Head>> ModelParts<Head>::part(const std::vector<bool>& present) const {
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

// The functions among `columns` that the head of an element reads, or the others, writing to rows of all `columns`.
template <typename Head>
typename ModelPart<Head>::Plan ModelParts<Head>::plan_of(const std::vector<std::size_t>& columns, std::size_t element,
                                                         bool read) const {
  const std::vector<std::size_t>& inputs = head_.columns(element);
  std::vector<FeatureRow> rows;
  std::vector<std::int32_t> places;
  for (std::size_t k = 0; k < columns.size(); ++k) {
    if (std::binary_search(inputs.begin(), inputs.end(), columns[k]) != read) continue;
    rows.push_back(features_.rows[columns[k]]);
    places.push_back(static_cast<std::int32_t>(k));
  }
  if (rows.empty()) return nullptr;
  const FeaturePlan compiled = compile_features(rows, static_cast<int>(head_.n_elements()), features_.weights);
  return std::make_unique<cpu::PreparedPlan<T>>(compiled.view(), places, static_cast<std::int32_t>(columns.size()));
}

template <typename Head>
std::shared_ptr<const ModelPart<Head>> ModelParts<Head>::make(const std::vector<bool>& present) const {
  std::vector<std::size_t> columns;
  for (std::size_t k = 0; k < features_.rows.size(); ++k)
    if (Head::kAllColumns || can_vary(features_.rows[k], present)) columns.push_back(k);
  std::vector<typename ModelPart<Head>::Plan> read(present.size()), unread(present.size());
  for (std::size_t element = 0; element < present.size(); ++element) {
    if (!present[element]) continue;
    read[element] = plan_of(columns, element, true);
    unread[element] = plan_of(columns, element, false);
  }
  return std::make_shared<const ModelPart<Head>>(ModelPart<Head>{
      columns.size(), std::move(read), std::move(unread), head_.of_columns(columns), ranges_.of_columns(columns)});
}

template class ModelParts<ElementNetworks<float>>;
template class ModelParts<ElementNetworks<double>>;
template class ModelParts<ElementKernels>;

}  // namespace atomcore
