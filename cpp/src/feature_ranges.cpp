#include "src/feature_ranges.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace atomcore {
namespace {

// A feature that hardly varied in training has a range of nearly nothing: its excess is counted in this part of the
// widest range of the element.
constexpr double kLeastUnit = 0.01;

// Rounding errors are no extrapolation: the engine adds neighbours in another order than training did. Nor is an excess
// that no network notices, which the tails of narrow functions have all the time.
constexpr double kNoise = 64.0;  // rounding errors of the largest value
constexpr double kLeastExcess = 1e-6;

}  // namespace

// One more element.
void FeatureRanges::add(const std::vector<double>& minimum, const std::vector<double>& maximum, double epsilon) {
  features_.resize(minimum.size());
  std::iota(features_.begin(), features_.end(), 0);
  constant_.emplace_back();
  double widest = 0.0;  // of the finite ones: the others reach from the lowest to the highest number there is
  for (std::size_t k = 0; k < features_.size(); ++k)
    if (const double range = maximum[k] - minimum[k]; std::isfinite(range)) widest = std::max(widest, range);
  for (std::size_t k = 0; k < features_.size(); ++k) {
    double unit = std::max(maximum[k] - minimum[k], kLeastUnit * widest);
    if (!(unit > 0.0)) unit = 1.0;
    const double noise = kNoise * epsilon * std::max(std::abs(minimum[k]), std::abs(maximum[k]));
    const double accepted = std::max(noise, kLeastExcess * unit);
    low_.push_back(minimum[k] - accepted);
    high_.push_back(maximum[k] + accepted);
    ranges_.push_back({minimum[k], maximum[k], unit});
  }
}

FeatureRanges FeatureRanges::of_columns(span<const std::size_t> columns) const {
  FeatureRanges result;
  result.constant_ = constant_;
  if (!known()) return result;
  for (const std::size_t column : columns) result.features_.push_back(features_[column]);
  for (std::size_t element = 0; element < constant_.size(); ++element) {
    const std::size_t first = element * features_.size();
    for (const std::size_t column : columns) {
      result.low_.push_back(low_[first + column]);
      result.high_.push_back(high_[first + column]);
      result.ranges_.push_back(ranges_[first + column]);
    }
    for (std::size_t k = 0; k < features_.size(); ++k)
      if (!std::binary_search(columns.begin(), columns.end(), k) &&
          !(low_[first + k] <= 0.0 && high_[first + k] >= 0.0))
        result.constant_[element].add(ranges_[first + k], 0.0, features_[k]);
  }
  return result;
}

void FeatureRanges::Worst::add(const Range& range, double x, std::int32_t which) {
  ++count;
  const double beyond = std::max(range.minimum - x, x - range.maximum);
  const double found = std::isnan(beyond) ? std::numeric_limits<double>::infinity() : beyond / range.unit;
  if (feature >= 0 && (found < excess || (found == excess && which > feature))) return;
  excess = found;
  feature = which;
}

template <typename T>
void FeatureRanges::check(std::size_t element, const T* G, Extrapolation& result, std::size_t atom) const {
  const std::size_t n = features_.size();
  const double *low = low_.data() + element * n, *high = high_.data() + element * n;
  const auto outside = [&](std::size_t k) {  // true for NaN
    return !(static_cast<double>(G[k]) >= low[k]) | !(static_cast<double>(G[k]) <= high[k]);
  };
  std::int64_t found = 0;
  for (std::size_t k = 0; k < n; ++k) found += outside(k);
  Worst worst = constant_[element];
  for (std::size_t k = 0; k < n && found > 0; ++k)
    if (outside(k)) worst.add(ranges_[element * n + k], static_cast<double>(G[k]), features_[k]);
  result.count[atom] = worst.count;
  result.excess[atom] = worst.excess;
  result.feature[atom] = worst.feature;
}

template void FeatureRanges::check(std::size_t, const float*, Extrapolation&, std::size_t) const;
template void FeatureRanges::check(std::size_t, const double*, Extrapolation&, std::size_t) const;

}  // namespace atomcore
