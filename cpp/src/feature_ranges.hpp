// Which features of which atoms lie outside the ranges that a model has seen in training, and other signs of that.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"

namespace atomcore {

// What is not asked for is empty.
struct Extrapolation {
  std::vector<std::int32_t> count;    // [N], features outside their range
  std::vector<double> excess;         // [N], how far the worst one lies outside, in units of its range; 0 for none
  std::vector<std::int32_t> feature;  // [N], which one that is, or -1
  std::vector<double> grade;          // [N], 1 for the most extreme atom of the training
};

class FeatureRanges {
 public:
  // `elements` have the minimum and maximum [n_features] of every feature, which are computed with a relative rounding
  // error of about `epsilon`, or neither where the ranges are unknown.
  template <typename Elements>
  FeatureRanges(const Elements& elements, double epsilon) {
    for (const auto& element : elements) add(element.minimum, element.maximum, epsilon);
  }

  bool known() const { return !low_.empty(); }

  // The same ranges where all features but `columns` (ascending) are zero: rows of G hold only these.
  FeatureRanges of_columns(span<const std::size_t> columns) const;

  // What G [n_columns] of an atom of one element says, as entry `atom` of a result.
  template <typename T>
  void check(std::size_t element, const T* G, Extrapolation& result, std::size_t atom) const;

 private:
  struct Range {
    double minimum, maximum, unit;
  };
  struct Worst {
    std::int32_t count = 0;
    double excess = 0.0;
    std::int32_t feature = -1;
    void add(const Range& range, double x, std::int32_t which);
  };
  FeatureRanges() = default;
  void add(const std::vector<double>& minimum, const std::vector<double>& maximum, double epsilon);

  std::vector<std::int32_t> features_;  // [n_columns], their indices in the model
  std::vector<double> low_, high_;      // [elements, n_columns]: what lies between them is no extrapolation
  std::vector<Range> ranges_;           // [elements, n_columns]
  std::vector<Worst> constant_;         // [elements], of the features that are zero
};

}  // namespace atomcore
