#include "src/kernel_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "math/distance_kernels.hpp"
#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/isa.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {

const KernelMatrixKernels& kernel_matrix_kernels() { return AC_PICK(kKernelMatrix); }

std::vector<const KernelMatrixKernels*> kernel_matrix_variants() {
  std::vector<const KernelMatrixKernels*> variants{&portable::kKernelMatrix};
#if AC_X86
  if (supported(Isa::avx2)) variants.push_back(&avx2::kKernelMatrix);
  if (supported(Isa::avx512)) variants.push_back(&avx512::kKernelMatrix);
#endif
  return variants;
}

namespace {

// With fewer features than this, differences cost less than what products need around them.
constexpr std::size_t kFew = 16;

math::KernelKind kind_of(const KernelFunction& function) { return static_cast<math::KernelKind>(function.kind); }

// The mean point: what is left of the points after it is as small as their distances, so that little cancels and
// dividing by lengths rounds little off.
std::vector<double> mean_of(const PointRows& points, std::size_t n_features) {
  std::vector<double> mean(n_features, 0.0);
  for (std::size_t i = 0; i < points.n; ++i)
    for (std::size_t k = 0; k < n_features; ++k) mean[k] += points.x[i * n_features + k];
  for (double& m : mean) m /= static_cast<double>(std::max<std::size_t>(1, points.n));
  return mean;
}

}  // namespace

void check_square(double square) {
  constexpr double most = 1e300;
  if (square <= most) return;
  throw Error(
      ErrorCode::invalid_value,
      "features divided by the lengths of the kernel are too large to be squared; accepted: squares that add up "
      "to 1e300 at most");
}

TilePoints::TilePoints(const PointRows& points, std::size_t n_features, const double* scales, const double* origin,
                       const KernelMatrixKernels& kernels)
    : n_(points.n),
      n_features_(n_features),
      rows_(n_ * n_features),
      panels_((n_ + kTile - 1) / kTile * kTile * n_features),
      squares_((n_ + kTile - 1) / kTile * kTile) {
  const std::size_t panel = kernels.panel;
  std::fill(panels_.data(), panels_.data() + panels_.size(), 0.0);
  std::fill(squares_.data(), squares_.data() + squares_.size(), 0.0);
  for (std::size_t i = 0; i < n_; ++i) {
    double* const row = rows_.data() + i * n_features;
    double* const lane = panels_.data() + (i / panel) * panel * n_features + i % panel;
    double square = 0;
    for (std::size_t k = 0; k < n_features; ++k) {
      row[k] = (points.x[i * n_features + k] - origin[k]) / scales[k];
      lane[k * panel] = row[k];
      square += row[k] * row[k];
    }
    check_square(square);
    squares_.data()[i] = square;
  }
}

KernelTiles::KernelTiles(const KernelFunction& function, std::size_t n_features, const double* scales,
                         const PointRows& X, const PointRows* Y)
    : kernels_(kernel_matrix_kernels()),
      function_(function),
      n_features_(n_features),
      origin_(kind_of(function) == math::KernelKind::polynomial ? std::vector<double>(n_features)
                                                                : mean_of(X, n_features)),
      X_(X, n_features, scales, origin_.data(), kernels_) {
  if (Y != nullptr) other_.emplace_back(*Y, n_features, scales, origin_.data(), kernels_);
}

PairSum KernelTiles::what() const {
  if (math::is_radial(kind_of(function_))) return PairSum::squares;
  return kind_of(function_) == math::KernelKind::laplacian ? PairSum::magnitudes : PairSum::products;
}

void KernelTiles::sums(std::size_t i, std::size_t m, std::size_t j, std::size_t n, double* tile) const {
  const std::size_t n_panels = padded(n) / kernels_.panel;
  if (what() == PairSum::squares && n_features_ >= kFew)
    kernels_.squares(X_.row(i), X_.squares() + i, m, Y().panels(j), Y().squares() + j, n_panels, n_features_, tile);
  else
    kernels_.sums(what(), X_.row(i), m, Y().panels(j), n_panels, n_features_, tile);
}

void KernelTiles::evaluate(std::size_t i, std::size_t m, std::size_t j, std::size_t n, double* tile) const {
  sums(i, m, j, n, tile);
  kernels_.apply(function_, m, padded(n), tile);
}

void kernel_matrix(const KernelFunction& function, std::size_t n_features, const double* scales, const PointRows& X,
                   const PointRows* Y, double* out, std::size_t stride, int n_threads) {
  const KernelTiles tiles(function, n_features, scales, X, Y);
  const bool symmetric = Y == nullptr;
  const std::size_t n_columns = symmetric ? X.n : Y->n;
  const auto rows = static_cast<std::int64_t>((X.n + kTile - 1) / kTile);
  const auto columns = static_cast<std::int64_t>((n_columns + kTile - 1) / kTile);
  Interruptible work;
  parallel_for(symmetric ? rows * (rows + 1) / 2 : rows * columns, n_threads, 4, [&](std::int64_t t, std::int64_t end) {
    PooledArray<double> tile(kTile * kTile);
    for (; t < end; ++t) {
      work.check();
      const Triangle half(t);
      const std::int64_t I = symmetric ? half.row : t / columns, J = symmetric ? half.column : t % columns;
      const std::size_t i = static_cast<std::size_t>(I) * kTile, j = static_cast<std::size_t>(J) * kTile;
      const std::size_t m = std::min(kTile, X.n - i), n = std::min(kTile, n_columns - j);
      tiles.evaluate(i, m, j, n, tile.data());
      double* const mirrored = symmetric && I != J ? out + j * stride + i : nullptr;
      if (symmetric && I == J)  // so that both halves are one
        for (std::size_t r = 0; r < m; ++r)
          for (std::size_t c = r + 1; c < n; ++c) tile.data()[r * kTile + c] = tile.data()[c * kTile + r];
      tiles.kernels().store(tile.data(), m, n, out + i * stride + j, mirrored, stride);
    }
  });
}

}  // namespace atomcore::cpu
