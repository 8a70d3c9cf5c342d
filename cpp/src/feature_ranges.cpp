#include "src/feature_ranges.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace atomcore {
namespace {

// A feature that hardly varied in training has a range of nearly nothing: its excess is counted in this part of the
// widest range of the element.
constexpr double kLeastUnit = 0.01;

// Rounding errors are no extrapolation: the engine adds neighbours in another order than training did. Nor is an excess
// that no network notices, which the tails of narrow functions have all the time.
template <typename T>
constexpr double kNoise = 64.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
constexpr double kLeastExcess = 1e-6;

}  // namespace

FeatureRanges::FeatureRanges(const ModelRecord& model)
    : n_features_(static_cast<std::size_t>(model.plan.n_features())) {
  for (const ElementRecord& element : model.elements) {
    double widest = 0.0;
    for (std::size_t k = 0; k < n_features_; ++k) widest = std::max(widest, element.maximum[k] - element.minimum[k]);
    for (std::size_t k = 0; k < n_features_; ++k) {
      const double low = element.minimum[k], high = element.maximum[k];
      const double unit = std::max(high - low, kLeastUnit * widest);
      ranges_.push_back({low, high, std::max(std::abs(low), std::abs(high)), unit > 0.0 ? unit : 1.0});
    }
  }
}

template <typename T>
Extrapolation FeatureRanges::check(span<const std::int32_t> species, span<const T> G) const {
  const std::size_t n = species.size();
  Extrapolation result{std::vector<std::int32_t>(n, 0), std::vector<double>(n, 0.0), std::vector<std::int32_t>(n, -1)};
  for (std::size_t i = 0; i < n; ++i) {
    const Range* range = &ranges_[static_cast<std::size_t>(species[i]) * n_features_];
    for (std::size_t k = 0; k < n_features_; ++k, ++range) {
      const auto x = static_cast<double>(G[i * n_features_ + k]);
      const double beyond = std::max(range->minimum - x, x - range->maximum);
      if (beyond <= std::max(kNoise<T> * range->size, kLeastExcess * range->unit)) continue;  // false for NaN
      ++result.count[i];
      const double excess = std::isnan(beyond) ? std::numeric_limits<double>::infinity() : beyond / range->unit;
      if (result.feature[i] >= 0 && excess <= result.excess[i]) continue;
      result.excess[i] = excess;
      result.feature[i] = static_cast<std::int32_t>(k);
    }
  }
  return result;
}

template Extrapolation FeatureRanges::check(span<const std::int32_t>, span<const float>) const;
template Extrapolation FeatureRanges::check(span<const std::int32_t>, span<const double>) const;

}  // namespace atomcore
