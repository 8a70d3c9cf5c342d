// Matrices of covariances of points.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/isa/kernel_matrix.hpp"
#include "src/pool.hpp"

namespace atomcore::cpu {

// The kernels of the active instruction set, and those of all that this processor has.
const KernelMatrixKernels& kernel_matrix_kernels();
std::vector<const KernelMatrixKernels*> kernel_matrix_variants();

// Element number t of the lower half of a square, row by row: row (row + 1) / 2 stand before a row.
struct Triangle {
  explicit Triangle(std::int64_t t)
      : row(static_cast<std::int64_t>((std::sqrt(8.0 * static_cast<double>(t) + 1) - 1) / 2)) {
    if (row * (row + 1) / 2 > t) --row;
    if ((row + 1) * (row + 2) / 2 <= t) ++row;
    column = t - row * (row + 1) / 2;
  }
  std::int64_t row, column;
};

// Points as rows of features, not yet divided by the lengths of a kernel.
struct PointRows {
  const double* x;  // [n, n_features]
  std::size_t n;
};

// Throws Error(invalid_value) for the squares of a point's features, divided by lengths, where those of distances or
// what kernels make of them might overflow.
void check_square(double square);

// Points ready for tiles: divided by the lengths of the kernel, as rows and as panels.
class TilePoints {
 public:
  // `origin` [n_features] is subtracted first.
  TilePoints(const PointRows& points, std::size_t n_features, const double* scales, const double* origin,
             const KernelMatrixKernels& kernels);
  std::size_t size() const { return n_; }
  const double* row(std::size_t i) const { return rows_.data() + i * n_features_; }
  const double* panels(std::size_t first) const { return panels_.data() + first * n_features_; }
  const double* squares() const { return squares_.data(); }

 private:
  std::size_t n_, n_features_;
  PooledArray<double> rows_, panels_, squares_;
};

// Tiles of kernel values between points of two sets.
class KernelTiles {
 public:
  // Without Y the pairs are those of X. All are kept by reference.
  KernelTiles(const KernelFunction& function, std::size_t n_features, const double* scales, const PointRows& X,
              const PointRows* Y);
  // tile[m, n] of the points i.. of X and j.. of Y; m and n are kTile at most, and j a multiple of kTile. Rows are
  // kTile apart, and kTile of them are written.
  void evaluate(std::size_t i, std::size_t m, std::size_t j, std::size_t n, double* tile) const;
  // The same for the sums that the function is one of.
  void sums(std::size_t i, std::size_t m, std::size_t j, std::size_t n, double* tile) const;
  PairSum what() const;
  std::size_t padded(std::size_t n) const { return (n + kernels_.panel - 1) / kernels_.panel * kernels_.panel; }
  const TilePoints& X() const { return X_; }
  const TilePoints& Y() const { return other_.empty() ? X_ : other_.front(); }
  const KernelMatrixKernels& kernels() const { return kernels_; }

 private:
  const KernelMatrixKernels& kernels_;
  KernelFunction function_;
  std::size_t n_features_;
  std::vector<double> origin_;
  TilePoints X_;
  std::vector<TilePoints> other_;  // Y where there is one
};

// out[n, m] of X with Y, or [n, n] of X with itself (Y null): each pair is computed once then, and both halves filled.
// Rows of out are `stride` apart.
void kernel_matrix(const KernelFunction& function, std::size_t n_features, const double* scales, const PointRows& X,
                   const PointRows* Y, double* out, std::size_t stride, int n_threads);

}  // namespace atomcore::cpu
