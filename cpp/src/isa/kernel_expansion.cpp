#include "src/isa/kernel_expansion.hpp"

#include "math/distance_kernels.hpp"
#include "math/pack_functions.hpp"

namespace atomcore::cpu {
namespace {

using math::KernelKind;
using math::Pack;
using P = Pack<double>;

constexpr std::size_t kWidth = static_cast<std::size_t>(P::kWidth);
constexpr std::size_t kVectors = kPanel / kWidth;              // of a panel
constexpr std::size_t kChunk = kChunkPanels * kPanel;          // centres
constexpr std::size_t kChunkVectors = kChunk / kWidth;         // of a chunk
constexpr std::size_t kMost = math::kPackBytes == 64 ? 4 : 2;  // points whose sums stay in registers

// What a kernel makes of two points: q = sum of |x - z|^2, of |x - z| or of x z.
enum class Metric { square, absolute, product };

constexpr Metric metric_of(KernelKind kind) {
  return math::is_radial(kind) ? Metric::square : kind == KernelKind::laplacian ? Metric::absolute : Metric::product;
}

// One chunk of centres, and the points of a tile that look at it.
struct Chunk {
  const double *centres, *directions, *coefficients;  // directions: null if there are none
  std::size_t n_features;
};

// Vector v of a chunk, and number k of its centres.
inline std::size_t at(std::size_t v, std::size_t k, std::size_t n_features) {
  return (v / kVectors * n_features + k) * kPanel + v % kVectors * kWidth;
}

// q and s = v . (x - z), or v . x for products, of kPoints points and kLines vectors of centres from `first` on.
template <Metric metric, bool kDirections, std::size_t kPoints, std::size_t kLines>
[[gnu::always_inline]] inline void measure_lines(const Chunk& c, const double* x, std::size_t first, double* q,
                                                 double* s) {
  P sum_q[kPoints][kLines], sum_s[kPoints][kLines];
  for (std::size_t p = 0; p < kPoints; ++p)
    for (std::size_t l = 0; l < kLines; ++l) sum_q[p][l] = sum_s[p][l] = P(0.0);
  for (std::size_t k = 0; k < c.n_features; ++k) {
    P z[kLines], v[kLines];
    for (std::size_t l = 0; l < kLines; ++l) {
      z[l] = math::load_pack(c.centres + at(first + l, k, c.n_features));
      if constexpr (kDirections) v[l] = math::load_pack(c.directions + at(first + l, k, c.n_features));
    }
    for (std::size_t p = 0; p < kPoints; ++p) {
      const P x_k(x[p * c.n_features + k]);
      for (std::size_t l = 0; l < kLines; ++l) {
        const P d = metric == Metric::product ? x_k : x_k - z[l];
        if constexpr (metric == Metric::square) sum_q[p][l] += d * d;
        if constexpr (metric == Metric::absolute) sum_q[p][l] += math::abs(d);
        if constexpr (metric == Metric::product) sum_q[p][l] += d * z[l];
        if constexpr (kDirections) sum_s[p][l] += d * v[l];
      }
    }
  }
  for (std::size_t p = 0; p < kPoints; ++p)
    for (std::size_t l = 0; l < kLines; ++l) {
      math::store_pack(q + p * kChunk + (first + l) * kWidth, sum_q[p][l]);
      if constexpr (kDirections) math::store_pack(s + p * kChunk + (first + l) * kWidth, sum_s[p][l]);
    }
}

// Adds to sums[p, k] the lanes of A (x - z) + B v; A sign(x - z) for sums of |x - z|, A z + B v for products.
template <Metric metric, bool kDirections, std::size_t kPoints, std::size_t kLines>
[[gnu::always_inline]] inline void gather_lines(const Chunk& c, const double* x, std::size_t first, const double* A,
                                                const double* B, double* sums) {
  P a[kPoints][kLines], b[kPoints][kLines];
  for (std::size_t p = 0; p < kPoints; ++p)
    for (std::size_t l = 0; l < kLines; ++l) {
      a[p][l] = math::load_pack(A + p * kChunk + (first + l) * kWidth);
      if constexpr (kDirections) b[p][l] = math::load_pack(B + p * kChunk + (first + l) * kWidth);
    }
  for (std::size_t k = 0; k < c.n_features; ++k) {
    P z[kLines], v[kLines];
    for (std::size_t l = 0; l < kLines; ++l) {
      z[l] = math::load_pack(c.centres + at(first + l, k, c.n_features));
      if constexpr (kDirections) v[l] = math::load_pack(c.directions + at(first + l, k, c.n_features));
    }
    for (std::size_t p = 0; p < kPoints; ++p) {
      const P x_k(x[p * c.n_features + k]);
      double* const to = sums + (p * c.n_features + k) * kWidth;
      P sum = math::load_pack(to);
      for (std::size_t l = 0; l < kLines; ++l) {
        P d = metric == Metric::product ? z[l] : x_k - z[l];
        if constexpr (metric == Metric::absolute) d = math::select(d == 0.0, P(0.0), math::copysign(P(1.0), d));
        sum += a[p][l] * d;
        if constexpr (kDirections) sum += b[p][l] * v[l];
      }
      math::store_pack(to, sum);
    }
  }
}

// The numbers A and B of each point and centre in place of q and s, and the lanes of the values.
template <KernelKind kind, bool kDirections>
[[gnu::noinline]] void weigh(const ExpansionView& sum, const double* coefficients, std::size_t n, double* q, double* s,
                             double* values) {
  const math::KernelParameters parameters{sum.a, sum.b};
  // q changes with x by 2 (x - z) and s by v; for products it is z and v, and sums of |x - z| have no directions.
  constexpr double slope = metric_of(kind) == Metric::square ? 2.0 : 1.0;
  for (std::size_t p = 0; p < n; ++p) {
    P value = math::load_pack(values + p * kWidth);
    for (std::size_t l = 0; l < kChunkVectors; ++l) {
      double* const q_l = q + p * kChunk + l * kWidth;
      double* const s_l = s + p * kChunk + l * kWidth;
      const P c = math::load_pack(coefficients + l * kWidth);
      const auto k = math::kernel_jet<kind>(sum.inverse_square * math::load_pack(q_l), parameters);
      const P d = (slope * sum.inverse_square) * k.d;
      value += c * k.f;
      P A = c * d;
      if constexpr (kDirections) {
        const P moved = math::load_pack(s_l), dd = (slope * sum.inverse_square) * (slope * sum.inverse_square) * k.dd;
        const P B = metric_of(kind) == Metric::square ? -d : d;  // dk/dz . v is B s
        value += B * moved;
        A += (metric_of(kind) == Metric::square ? -dd : dd) * moved;
        math::store_pack(s_l, B);
      }
      math::store_pack(q_l, A);
    }
    math::store_pack(values + p * kWidth, value);
  }
}

struct Tile {
  const double* x;
  double *q, *s, *sums;
};

template <std::size_t n>
struct Count {
  static constexpr std::size_t points = n;
  static constexpr std::size_t lines = n == kMost ? 2 : 4;  // sums fill the registers and hide the latency
};

// Calls f(Count, first) so that all points have their turn, as many at a time as registers hold.
template <typename Function>
[[gnu::always_inline]] inline void for_points(std::size_t n, const Function& f) {
  std::size_t p = 0;
  for (; p + kMost <= n; p += kMost) f(Count<kMost>{}, p);
  if constexpr (kMost == 4)
    for (; p + 2 <= n; p += 2) f(Count<2>{}, p);
  if (p < n) f(Count<1>{}, p);
}

template <Metric metric, bool kDirections>
void measure(const Chunk& c, const Tile& t, std::size_t n) {
  for_points(n, [&](auto count, std::size_t p) {
    for (std::size_t l = 0; l < kChunkVectors; l += count.lines)
      measure_lines<metric, kDirections, count.points, count.lines>(c, t.x + p * c.n_features, l, t.q + p * kChunk,
                                                                    t.s + p * kChunk);
  });
}

template <Metric metric, bool kDirections>
void gather(const Chunk& c, const Tile& t, std::size_t n) {
  for_points(n, [&](auto count, std::size_t p) {
    for (std::size_t l = 0; l < kChunkVectors; l += count.lines)
      gather_lines<metric, kDirections, count.points, count.lines>(
          c, t.x + p * c.n_features, l, t.q + p * kChunk, t.s + p * kChunk, t.sums + p * c.n_features * kWidth);
  });
}

template <KernelKind kind, bool kDirections>
void evaluate_with(const ExpansionView& sum, const double* x, std::size_t n, double* values, double* gradients,
                   double* work) {
  constexpr Metric metric = metric_of(kind);
  const std::size_t K = sum.n_features;
  double* const value_lanes = work;
  const Tile tile{x, work + kTilePoints * kPanel, work + kTilePoints * (kPanel + kChunk),
                  work + kTilePoints * (kPanel + 2 * kChunk)};
  for (std::size_t i = 0; i < n * kWidth; ++i) value_lanes[i] = 0.0;
  if (gradients != nullptr)
    for (std::size_t i = 0; i < n * K * kWidth; ++i) tile.sums[i] = 0.0;
  for (std::size_t panel = 0; panel < sum.n_panels; panel += kChunkPanels) {
    const std::size_t offset = panel * K * kPanel;
    const Chunk chunk{sum.centres + offset, kDirections ? sum.directions + offset : nullptr,
                      sum.coefficients + panel * kPanel, K};
    measure<metric, kDirections>(chunk, tile, n);
    weigh<kind, kDirections>(sum, chunk.coefficients, n, tile.q, tile.s, value_lanes);
    if (gradients != nullptr) gather<metric, kDirections>(chunk, tile, n);
  }
  for (std::size_t p = 0; p < n; ++p) values[p] = math::sum_of_lanes(math::load_pack(value_lanes + p * kWidth));
  if (gradients != nullptr)
    for (std::size_t i = 0; i < n * K; ++i) gradients[i] = math::sum_of_lanes(math::load_pack(tile.sums + i * kWidth));
}

template <KernelKind kind>
void evaluate_kind(const ExpansionView& sum, const double* x, std::size_t n, double* values, double* gradients,
                   double* work) {
  if constexpr (math::smoothness(kind) > 0)
    if (sum.directions != nullptr) return evaluate_with<kind, true>(sum, x, n, values, gradients, work);
  evaluate_with<kind, false>(sum, x, n, values, gradients, work);
}

void evaluate(const ExpansionView& sum, const double* x, std::size_t n, double* values, double* gradients,
              double* work) {
  switch (static_cast<KernelKind>(sum.kind)) {
    case KernelKind::rbf:
      return evaluate_kind<KernelKind::rbf>(sum, x, n, values, gradients, work);
    case KernelKind::matern12:
      return evaluate_kind<KernelKind::matern12>(sum, x, n, values, gradients, work);
    case KernelKind::matern32:
      return evaluate_kind<KernelKind::matern32>(sum, x, n, values, gradients, work);
    case KernelKind::matern52:
      return evaluate_kind<KernelKind::matern52>(sum, x, n, values, gradients, work);
    case KernelKind::rational_quadratic:
      return evaluate_kind<KernelKind::rational_quadratic>(sum, x, n, values, gradients, work);
    case KernelKind::laplacian:
      return evaluate_kind<KernelKind::laplacian>(sum, x, n, values, gradients, work);
    case KernelKind::polynomial:
      return evaluate_kind<KernelKind::polynomial>(sum, x, n, values, gradients, work);
  }
}

}  // namespace

namespace AC_ISA {
const ExpansionKernels kExpansion{evaluate};
}  // namespace AC_ISA

}  // namespace atomcore::cpu
