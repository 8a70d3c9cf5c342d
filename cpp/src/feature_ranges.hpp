// Which features of which atoms lie outside the ranges that a model has seen in training.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/model_file.hpp"

namespace atomcore {

struct Extrapolation {
  std::vector<std::int32_t> count;    // [N], features outside their range
  std::vector<double> excess;         // [N], how far the worst one lies outside, in units of its range; 0 for none
  std::vector<std::int32_t> feature;  // [N], which one that is, or -1
};

class FeatureRanges {
 public:
  explicit FeatureRanges(const ModelRecord& model);

  // G [N, n_features] of atoms whose species index the elements of the model.
  template <typename T>
  Extrapolation check(span<const std::int32_t> species, span<const T> G) const;

 private:
  struct Range {
    double minimum, maximum, size, unit;  // size: the larger of |minimum| and |maximum|
  };
  std::size_t n_features_;
  std::vector<Range> ranges_;  // [elements, n_features]
};

}  // namespace atomcore
