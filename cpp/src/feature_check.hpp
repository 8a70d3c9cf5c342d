// The rows of a feature table before they are compiled.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "src/feature_plan.hpp"

namespace atomcore {

inline FunctionType type_of(const FeatureRow& row) { return static_cast<FunctionType>(row.type); }

inline bool is_radial(const FeatureRow& row) {
  const FunctionType type = type_of(row);
  return type == FunctionType::radial || type == FunctionType::radial_cosine || type == FunctionType::compact_radial;
}

inline bool is_compact(const FeatureRow& row) {
  return row.type >= static_cast<std::int32_t>(FunctionType::compact_narrow);
}

// Position of `item` in `list`, appended if it is new.
template <typename T>
std::size_t position(std::vector<T>& list, const T& item) {
  const auto found = std::find(list.begin(), list.end(), item);
  if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
  list.push_back(item);
  return list.size() - 1;
}

// The rows, checked, and the distinct weight vectors that they name; those of ones are named by -1.
struct CheckedRows {
  std::vector<FeatureRow> rows;
  std::vector<double> weights;
};

// Throws Error(invalid_value) naming the row and the parameter.
CheckedRows check_rows(span<const FeatureRow> rows, int n_species, span<const double> weights);

}  // namespace atomcore
