#include "src/feature_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <sstream>

#include "math/symmetry_functions.hpp"
#include "src/error.hpp"

namespace atomcore {
namespace {

constexpr double kMostPhase = 1000.0;  // kappa r, of which sine and cosine are still good in single precision

[[noreturn]] void refuse(std::size_t row, const char* name, double given, const char* accepted) {
  std::ostringstream text;
  text << "features: row " << row << " has " << name << " = " << given << "; accepted: " << accepted;
  throw Error(ErrorCode::invalid_value, text.str());
}

// Whether core(x) joins the constant 1, and itself mirrored about x = 0, without a step or a kink.
bool has_plateau(math::CutoffKind kind) {
  using math::CutoffKind;
  return kind != CutoffKind::hard && kind != CutoffKind::tanh3 && kind != CutoffKind::tanh3_normalized &&
         kind != CutoffKind::untruncated_cosine;
}

void check_elements(const FeatureRow& row, std::size_t index, int n_species, std::size_t n_weights) {
  if (row.a < -1 || row.a >= n_species)
    refuse(index, "first element", row.a, "an index into the elements, or -1 for every element");
  const bool has_none = row.a < 0 || is_radial(row);
  if (has_none ? row.b != -1 : (row.b < row.a || row.b >= n_species))
    refuse(index, "second element", row.b,
           "-1 for radial functions and where the first is -1, otherwise an index not below the first");
  const bool in_range = row.weights >= -1 && row.weights < static_cast<std::int64_t>(n_weights);
  if (!in_range || (row.a >= 0 && row.weights != -1))
    refuse(index, "weights", row.weights, "-1, or for functions of every element the index of a weight vector");
}

void check_cutoff(const FeatureRow& row, std::size_t index) {
  if (!(row.cutoff > 0) || !std::isfinite(row.cutoff)) refuse(index, "cutoff", row.cutoff, "a finite length > 0 in A");
  if (row.cutoff_function < 0 || row.cutoff_function >= math::kCutoffKinds)
    refuse(index, "cutoff_function", row.cutoff_function, "0 to 15, a cutoff function");
  const auto kind = static_cast<math::CutoffKind>(row.cutoff_function);
  if (!(row.gamma >= 2) || !std::isfinite(row.gamma)) refuse(index, "gamma", row.gamma, "a finite number >= 2");
  if (!(row.inner >= 0 && row.inner < 1)) refuse(index, "inner", row.inner, "0 <= inner < 1");
  if (row.inner > 0 && (!has_plateau(kind) || is_compact(row)))
    refuse(index, "inner", row.inner, "0 for this cutoff function, and for compact functions");
  if (!is_compact(row)) return;
  if (!has_plateau(kind) || kind == math::CutoffKind::polynomial)
    refuse(index, "cutoff_function", row.cutoff_function,
           "for windows 0 (cosine) and 5 to 14 (exponential, poly1 ...)");
  if (!(row.low < row.cutoff) || !std::isfinite(row.low))
    refuse(index, "low", row.low, "a finite length below the cutoff, in A");
}

// A window in the angle may not end where the angle itself has an end, but for windows with their middle there.
void check_angle_window(const FeatureRow& row, std::size_t index) {
  constexpr double kRounding = 1e-12;
  const double low = row.theta_low, high = row.theta_high;
  const bool mirrored = std::abs(low + high) <= kRounding || std::abs(low + high - 2 * math::kPi) <= kRounding;
  const bool within = low >= 0 && high <= math::kPi + kRounding;
  const char* accepted =
      "angles in radians, theta_low < theta_high, within 0 to pi or with their middle exactly at 0 or pi";
  if (!std::isfinite(low) || !(mirrored || within)) refuse(index, "theta_low", low, accepted);
  if (!std::isfinite(high) || !(low < high)) refuse(index, "theta_high", high, accepted);
}

void check_row(const FeatureRow& row, std::size_t index, int n_species, std::size_t n_weights) {
  if (row.type < 0 || row.type > static_cast<std::int32_t>(FunctionType::compact_radial))
    refuse(index, "type", row.type,
           "0 (radial), 1 (narrow), 2 (wide), 3 (ani), 4 (radial_cosine), 5 (compact_narrow), 6 (compact_wide), "
           "7 (compact_radial)");
  check_elements(row, index, n_species, n_weights);
  if (!std::isfinite(row.prefactor)) refuse(index, "prefactor", row.prefactor, "a finite number");
  check_cutoff(row, index);
  const FunctionType type = type_of(row);
  if (is_compact(row)) {
    if (!is_radial(row)) check_angle_window(row, index);
    return;
  }
  if (type == FunctionType::radial_cosine && !(row.eta * row.cutoff <= kMostPhase))
    refuse(index, "kappa", row.eta, "a number of 1/A with kappa * cutoff <= 1000: single precision tells no more");
  if (!(row.eta >= 0) || !std::isfinite(row.eta)) {
    if (type == FunctionType::radial_cosine) refuse(index, "kappa", row.eta, "a finite number >= 0 (1/A)");
    refuse(index, "eta", row.eta, "a finite number >= 0 (1/A^2)");
  }
  if (!std::isfinite(row.shift)) refuse(index, "shift", row.shift, "a finite length in A");
  if (is_radial(row)) return;
  if (!(row.zeta > 0) || !std::isfinite(row.zeta)) refuse(index, "zeta", row.zeta, "a finite number > 0");
  if (type == FunctionType::ani) {
    if (!std::isfinite(row.angle)) refuse(index, "theta", row.angle, "a finite angle in radians");
    if (!(row.cos_scale > 0 && row.cos_scale <= 1)) refuse(index, "cos_scale", row.cos_scale, "0 < cos_scale <= 1");
  } else if (!(std::abs(row.angle) <= 1)) {
    refuse(index, "lambda", row.angle, "-1 <= lambda <= 1");
  }
}

}  // namespace

CheckedRows check_rows(span<const FeatureRow> rows, int n_species, span<const double> weights) {
  const auto n = static_cast<std::size_t>(n_species);
  std::vector<std::vector<double>> vectors;
  CheckedRows checked;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    FeatureRow row = rows[i];
    check_row(row, i, n_species, weights.size() / n);
    if (row.weights >= 0) {
      const double* first = weights.data() + static_cast<std::size_t>(row.weights) * n;
      const std::vector<double> vector(first, first + n);
      for (const double w : vector)
        if (!std::isfinite(w)) refuse(i, "weights", w, "finite numbers");
      const bool ones = std::all_of(vector.begin(), vector.end(), [](double w) { return w == 1.0; });
      row.weights = ones ? -1 : static_cast<std::int32_t>(position(vectors, vector));
    }
    checked.rows.push_back(row);
  }
  for (const auto& vector : vectors) checked.weights.insert(checked.weights.end(), vector.begin(), vector.end());
  return checked;
}

}  // namespace atomcore
