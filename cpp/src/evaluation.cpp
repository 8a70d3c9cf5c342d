#include "src/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/error.hpp"

namespace atomcore {
namespace {

double sum_of(const double* energies, std::size_t n) {
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) sum += energies[i];
  return sum;
}

// The mean over the members of number `i` of n.
double mean_of(const std::vector<double>& values, std::size_t members, std::size_t n, std::size_t i) {
  double sum = values[i];
  for (std::size_t m = 1; m < members; ++m) sum += values[m * n + i];
  return sum / static_cast<double>(members);
}

// The sample standard deviation of number(member) over members whose mean is near `mean`.
template <typename Number>
double deviation(std::size_t members, double mean, const Number& number) {
  double square = 0.0, sum = 0.0;
  for (std::size_t m = 0; m < members; ++m) {
    const double d = number(m) - mean;
    square += d * d, sum += d;
  }
  const auto n = static_cast<double>(members);
  return std::sqrt(std::max(square - sum * sum / n, 0.0) / (n - 1.0));
}

Values spread_of(const MemberValues& values, std::size_t members, const Values& mean) {
  const std::size_t n = mean.energies.size();
  const std::size_t size = values.gradients.size() > 3 * n ? 3 * n : 0;  // not where members have no gradients
  std::vector<double> totals;
  for (std::size_t m = 0; m < members; ++m) totals.push_back(sum_of(values.energies.data() + m * n, n));
  Values spread{};
  spread.energy = deviation(members, mean.energy, [&](std::size_t m) { return totals[m]; });
  for (std::size_t i = 0; i < n; ++i)
    spread.energies.push_back(
        deviation(members, mean.energies[i], [&](std::size_t m) { return values.energies[m * n + i]; }));
  for (std::size_t i = 0; i < size; ++i)
    spread.gradient.push_back(
        deviation(members, mean.gradient[i], [&](std::size_t m) { return values.gradients[(1 + m) * size + i]; }));
  for (std::size_t i = 0; i < 9 && size > 0; ++i)
    spread.strain_gradient[i] = deviation(members, mean.strain_gradient[i],
                                          [&](std::size_t m) { return values.strain_gradients[(1 + m) * 9 + i]; });
  return spread;
}

template <typename List>
bool all_finite(const List& list) {
  return std::all_of(list.begin(), list.end(), [](double x) { return std::isfinite(x); });
}

bool all_finite(const Values& values) {
  return std::isfinite(values.energy) && all_finite(values.energies) && all_finite(values.gradient) &&
         all_finite(values.strain_gradient);
}

}  // namespace

void check_finite(const Evaluation& result) {
  if (!all_finite(result.mean) || !all_finite(result.atomic_virials) || !all_finite(result.member_gradients))
    throw Error(ErrorCode::overflow, "the model's energy or forces are not finite for this structure");
  if (!all_finite(result.spread))
    throw Error(ErrorCode::overflow, "the model's spread is not finite for this structure");
  if (!all_finite(result.extrapolation.grade))
    throw Error(ErrorCode::overflow, "the grade of extrapolation is not finite for this structure");
}

Evaluation evaluation_of(MemberValues&& values, std::size_t members, const Request& request,
                         Extrapolation&& extrapolation) {
  Evaluation result{};
  Values& mean = result.mean;
  const std::size_t n = values.energies.size() / members;
  mean.energies.resize(n);
  for (std::size_t i = 0; i < n; ++i) mean.energies[i] = mean_of(values.energies, members, n, i);
  mean.energy = sum_of(mean.energies.data(), n);
  if (!values.gradients.empty()) {
    std::copy_n(values.strain_gradients.begin(), 9, mean.strain_gradient.begin());
    mean.gradient.assign(values.gradients.begin(), values.gradients.begin() + static_cast<std::ptrdiff_t>(3 * n));
  }
  if (request.spread) result.spread = spread_of(values, members, mean);
  if (request.member_gradients)  // the mean over one member is all there is of that one
    result.member_gradients.assign(values.gradients.end() - static_cast<std::ptrdiff_t>(members * 3 * n),
                                   values.gradients.end());
  result.atomic_virials = std::move(values.atomic_virials);
  result.extrapolation = std::move(extrapolation);
  check_finite(result);
  return result;
}

}  // namespace atomcore
