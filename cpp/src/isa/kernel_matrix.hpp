// What matrices of covariances are made of, compiled for each instruction set (isa.hpp).
#pragma once

#include <cstddef>

namespace atomcore::cpu {

// The function of math/distance_kernels.hpp with its parameters, and the factor before it.
struct KernelFunction {
  int kind;  // math::KernelKind
  double a, b;
  double variance;
};

// What a function takes of two points: the sum over features of products, squared differences or their magnitudes.
enum class PairSum { products, squares, magnitudes };

// Tiles of pairs of points are square at most, and their rows this far apart.
constexpr std::size_t kTile = 96;
// Numbers in a line of the cache, which every register of every instruction set divides.
constexpr std::size_t kLane = 8;

struct KernelMatrixKernels {
  // Columns of points in a panel: number k of a panel's line k is feature k of its points. Divides kTile.
  std::size_t panel;
  // sums[kTile, kTile] of m points x[m, n_features], row by row, and n_panels panels of points.
  void (*sums)(PairSum what, const double* x, std::size_t m, const double* panels, std::size_t n_panels,
               std::size_t n_features, double* sums);
  // The sums of squares by products: |x|^2 + |y|^2 - 2 x.y, and by differences where that would cancel. x_squares [m]
  // and y_squares [n_panels * panel] are the squares of the points; best close to the origin.
  void (*squares)(const double* x, const double* x_squares, std::size_t m, const double* panels,
                  const double* y_squares, std::size_t n_panels, std::size_t n_features, double* sums);
  // The first m rows of a tile, `columns` numbers of each, become values of the function times its variance.
  void (*apply)(const KernelFunction& function, std::size_t m, std::size_t columns, double* tile);
  // Of a tile of sums and one of weights w: total[0] += w f, total[1] += w f' q and, of the rational quadratic kernel,
  // total[2] += w df/dlog(alpha). The sums become w f'.
  void (*trace)(const KernelFunction& function, std::size_t m, std::size_t columns, double* tile, const double* weights,
                double* total);
  // terms[n_features] += sum_j weights[j] (term of each feature in the sum of x and y[j, n_features])
  void (*weighted_terms)(PairSum what, const double* x, const double* y, const double* weights, std::size_t n,
                         std::size_t n_features, double* terms);
  // jets[4, n]: values of the function and its first three derivatives in the sums q [n]; n is a multiple of kLane.
  void (*jets)(const KernelFunction& function, const double* q, std::size_t n, double* jets);
  // The same [3, n] for the derivatives of value, first and second derivative in the logarithm of alpha of the rational
  // quadratic kernel.
  void (*shape_jets)(const KernelFunction& function, const double* q, std::size_t n, double* jets);
  // Of a point x and n points y[n, n_features]: their sums [n] and, except for products, the directions [n, n_features]
  // that derivatives in x have: the differences x - y, or their signs for magnitudes (0 where they vanish).
  void (*pairs)(PairSum what, const double* x, const double* y, std::size_t n, std::size_t n_features, double* sums,
                double* directions);
  // c[m, n] += a b, with a[i, p] at a[i * a_row + p * a_step] and the rows of b[depth, n] and c apart by their strides;
  // n is a multiple of kLane.
  void (*product)(std::size_t m, std::size_t n, std::size_t depth, const double* a, std::size_t a_row,
                  std::size_t a_step, const double* b, std::size_t b_stride, double* c, std::size_t c_stride);
  // Writes tile[m, n] to out with rows `stride` apart, and the transpose of it to `mirrored` unless that is null.
  void (*store)(const double* tile, std::size_t m, std::size_t n, double* out, double* mirrored, std::size_t stride);
};

#define ATOMCORE_DECLARE(isa)                     \
  namespace isa {                                 \
  extern const KernelMatrixKernels kKernelMatrix; \
  }
ATOMCORE_DECLARE(portable)
ATOMCORE_DECLARE(avx2)
ATOMCORE_DECLARE(avx512)
#undef ATOMCORE_DECLARE

}  // namespace atomcore::cpu
