#include "src/kernel_expansion.hpp"

#include <algorithm>
#include <string>

#include "src/error.hpp"
#include "src/isa.hpp"

namespace atomcore::cpu {
namespace {

// Rows [M, n] as panels [n_panels, n, kPanel]; zero behind the last row.
Lines<double> panels_of(const std::vector<double>& rows, std::size_t n, std::size_t n_panels) {
  Lines<double> panels(rows.empty() ? 0 : n_panels * n * kPanel);
  for (std::size_t m = 0; m * n < rows.size(); ++m)
    for (std::size_t k = 0; k < n; ++k) panels.data()[(m / kPanel * n + k) * kPanel + m % kPanel] = rows[m * n + k];
  return panels;
}

// Centres without features are at no distance from anything, but have coefficients.
std::size_t centres_of(const KernelSum& sum) {
  return sum.n_features > 0 ? sum.centres.size() / sum.n_features : sum.coefficients.size();
}

std::size_t panels_for(std::size_t n_centres) {
  constexpr std::size_t chunk = kPanel * kChunkPanels;
  return (n_centres + chunk - 1) / chunk * kChunkPanels;
}

}  // namespace

const ExpansionKernels& expansion_kernels() { return AC_PICK(kExpansion); }

KernelExpansion::KernelExpansion(const KernelSum& sum)
    : kind_(sum.kind),
      parameters_(sum.parameters),
      inverse_square_(1.0 / (sum.length * sum.length)),
      n_features_(sum.n_features),
      n_panels_(panels_for(centres_of(sum))),
      centres_(panels_of(sum.centres, n_features_, n_panels_)),
      coefficients_(n_panels_ * kPanel),
      directions_(panels_of(sum.derivative_coefficients, n_features_, n_panels_)) {
  if (sum.length != 1.0 && !math::is_radial(kind_))
    throw Error(ErrorCode::invalid_value, "length is " + std::to_string(sum.length) +
                                              "; accepted: 1 for kernels that are no functions of the distance");
  if (!sum.derivative_coefficients.empty() && math::smoothness(kind_) == 0)
    throw Error(ErrorCode::invalid_value,
                "derivative coefficients are for kernels that can be derived where two points are one; the Laplacian "
                "and the Matern 1/2 kernel cannot");
  std::copy(sum.coefficients.begin(), sum.coefficients.end(), coefficients_.data());
}

void KernelExpansion::evaluate(const double* x, std::size_t n, double* values, double* gradients,
                               Workspace& work) const {
  const double* const directions = directions_.size() > 0 ? directions_.data() : nullptr;
  const ExpansionView view{static_cast<int>(kind_), parameters_.a,        parameters_.b,
                           inverse_square_,         n_features_,          n_panels_,
                           centres_.data(),         coefficients_.data(), directions};
  const auto& kernels = expansion_kernels();
  work.buffer.require(expansion_work(n_features_));
  for (std::size_t i = 0; i < n; i += kTilePoints)
    kernels.evaluate(view, x + i * n_features_, std::min(kTilePoints, n - i), values + i,
                     gradients == nullptr ? nullptr : gradients + i * n_features_, work.buffer.data());
}

}  // namespace atomcore::cpu
