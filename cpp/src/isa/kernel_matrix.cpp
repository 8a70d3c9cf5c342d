#include "src/isa/kernel_matrix.hpp"

#include "math/distance_kernels.hpp"
#include "math/pack_functions.hpp"

namespace atomcore::cpu {
namespace {

using math::Pack;
using P = Pack<double>;

constexpr std::size_t kWidth = static_cast<std::size_t>(P::kWidth);
// Sums in registers: as many as hide the latency of an addition and leave room for what is added.
constexpr std::size_t kRows = math::kPackBytes == 64 ? 8 : 4;
constexpr std::size_t kVectors = math::kPackBytes == 16 ? 2 : 3;
constexpr std::size_t kPanel = kVectors * kWidth;
static_assert(kTile % kPanel == 0 && kTile % kRows == 0);
// Features of a panel, and of the rows beside it, that stay in the first cache.
constexpr std::size_t kDepth = 160;
// Squares below this part of those of the points are computed by differences.
constexpr double kCancelling = 1.0 / 128;

template <math::KernelKind kind>
struct Kind {
  static constexpr math::KernelKind value = kind;
};

template <PairSum what>
[[gnu::always_inline]] inline void add(P& sum, const P& x, const P& y) {
  if constexpr (what == PairSum::products)
    sum += x * y;
  else if constexpr (what == PairSum::squares)
    sum += (y - x) * (y - x);
  else
    sum += math::abs(y - x);
}

// Features first to last of kRows points with a panel, added to the sums so far. Behind the last of m points it is
// taken again.
template <PairSum what>
[[gnu::always_inline]] inline void add_block(const double* x, std::size_t i, std::size_t m, std::size_t n_features,
                                             const double* panel, std::size_t first, std::size_t last, double* sums) {
  const double* row[kRows];
  P sum[kRows][kVectors];
  for (std::size_t r = 0; r < kRows; ++r) row[r] = x + (i + r < m ? i + r : m - 1) * n_features;
  if (first == 0)
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = P(0.0);
  else
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t v = 0; v < kVectors; ++v) sum[r][v] = math::load_pack(sums + (i + r) * kTile + v * kWidth);
  for (std::size_t k = first; k < last; ++k) {
    P y[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) y[v] = math::load_pack(panel + k * kPanel + v * kWidth);
    for (std::size_t r = 0; r < kRows; ++r) {
      const P one(row[r][k]);
      for (std::size_t v = 0; v < kVectors; ++v) add<what>(sum[r][v], one, y[v]);
    }
  }
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t v = 0; v < kVectors; ++v) math::store_pack(sums + (i + r) * kTile + v * kWidth, sum[r][v]);
}

template <PairSum what>
void sums_of(const double* x, std::size_t m, const double* panels, std::size_t n_panels, std::size_t n_features,
             double* sums) {
  for (std::size_t first = 0; first == 0 || first < n_features; first += kDepth) {
    const std::size_t last = first + kDepth < n_features ? first + kDepth : n_features;
    for (std::size_t p = 0; p < n_panels; ++p)
      for (std::size_t i = 0; i < m; i += kRows)
        add_block<what>(x, i, m, n_features, panels + p * n_features * kPanel, first, last, sums + p * kPanel);
  }
}

void sums(PairSum what, const double* x, std::size_t m, const double* panels, std::size_t n_panels,
          std::size_t n_features, double* sums) {
  switch (what) {
    case PairSum::products:
      return sums_of<PairSum::products>(x, m, panels, n_panels, n_features, sums);
    case PairSum::squares:
      return sums_of<PairSum::squares>(x, m, panels, n_panels, n_features, sums);
    case PairSum::magnitudes:
      return sums_of<PairSum::magnitudes>(x, m, panels, n_panels, n_features, sums);
  }
}

// Products of kRows points and a panel become squares; true where one of them cancels.
[[gnu::always_inline]] inline bool to_squares(const double* x_squares, std::size_t i, std::size_t m,
                                              const double* y_squares, double* sums) {
  unsigned cancelling = 0;
  for (std::size_t r = 0; r < kRows; ++r) {
    const P own(x_squares[i + r < m ? i + r : m - 1]);
    for (std::size_t v = 0; v < kVectors; ++v) {
      double* const at = sums + (i + r) * kTile + v * kWidth;
      const P both = own + math::load_pack(y_squares + v * kWidth);
      const P square = both - 2.0 * math::load_pack(at);
      cancelling |= math::bits_of(square < kCancelling * both);
      math::store_pack(at, square);
    }
  }
  return cancelling != 0;
}

void squares(const double* x, const double* x_squares, std::size_t m, const double* panels, const double* y_squares,
             std::size_t n_panels, std::size_t n_features, double* sums) {
  sums_of<PairSum::products>(x, m, panels, n_panels, n_features, sums);
  for (std::size_t p = 0; p < n_panels; ++p)
    for (std::size_t i = 0; i < m; i += kRows)
      if (to_squares(x_squares, i, m, y_squares + p * kPanel, sums + p * kPanel))
        add_block<PairSum::squares>(x, i, m, n_features, panels + p * n_features * kPanel, 0, n_features,
                                    sums + p * kPanel);
}

// Calls the body with the kind of the function as a constant.
template <typename Body>
[[gnu::always_inline]] inline void for_kind(const KernelFunction& function, const Body& body) {
  using math::KernelKind;
  switch (static_cast<KernelKind>(function.kind)) {
    case KernelKind::rbf:
      return body(Kind<KernelKind::rbf>());
    case KernelKind::matern12:
      return body(Kind<KernelKind::matern12>());
    case KernelKind::matern32:
      return body(Kind<KernelKind::matern32>());
    case KernelKind::matern52:
      return body(Kind<KernelKind::matern52>());
    case KernelKind::rational_quadratic:
      return body(Kind<KernelKind::rational_quadratic>());
    case KernelKind::laplacian:
      return body(Kind<KernelKind::laplacian>());
    case KernelKind::polynomial:
      return body(Kind<KernelKind::polynomial>());
  }
}

void apply(const KernelFunction& function, std::size_t m, std::size_t columns, double* tile) {
  const math::KernelParameters parameters{function.a, function.b};
  const double variance = function.variance;
  for_kind(function, [&](auto kind) {
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < columns; j += kWidth) {
        double* const at = tile + i * kTile + j;
        math::store_pack(at, variance * math::kernel_jet<kind.value>(math::load_pack(at), parameters).f);
      }
  });
}

void trace(const KernelFunction& function, std::size_t m, std::size_t columns, double* tile, const double* weights,
           double* total) {
  const math::KernelParameters parameters{function.a, function.b};
  const double variance = function.variance;
  for_kind(function, [&](auto kind) {
    P value(0.0), slope(0.0), shape(0.0);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < columns; j += kWidth) {
        double* const at = tile + i * kTile + j;
        const P q = math::load_pack(at), w = variance * math::load_pack(weights + i * kTile + j);
        const math::KernelJet<P> jet = math::kernel_jet<kind.value>(q, parameters);
        const P weighted = w * jet.d;
        math::store_pack(at, weighted);
        value += w * jet.f;
        slope += weighted * q;
        if constexpr (kind.value == math::KernelKind::rational_quadratic)
          shape += w * math::rational_quadratic_in_log_alpha(q, function.a).f;
      }
    total[0] += math::sum_of_lanes(value);
    total[1] += math::sum_of_lanes(slope);
    total[2] += math::sum_of_lanes(shape);
  });
}

template <PairSum what>
void weighted_terms_of(const double* x, const double* y, const double* weights, std::size_t n, std::size_t n_features,
                       double* terms) {
  constexpr std::size_t kPacks = 4, kBlock = kPacks * kWidth;
  const auto term = [](const auto& a, const auto& b) {
    using std::abs;
    if constexpr (what == PairSum::products) return a * b;
    if constexpr (what == PairSum::squares) return (a - b) * (a - b);
    if constexpr (what == PairSum::magnitudes) return abs(a - b);
  };
  const std::size_t whole = n_features - n_features % kBlock;
  for (std::size_t k = 0; k < whole; k += kBlock) {
    P own[kPacks], sum[kPacks];
    for (std::size_t v = 0; v < kPacks; ++v) {
      own[v] = math::load_pack(x + k + v * kWidth);
      sum[v] = math::load_pack(terms + k + v * kWidth);
    }
    for (std::size_t j = 0; j < n; ++j) {
      const P weight(weights[j]);
      for (std::size_t v = 0; v < kPacks; ++v)
        sum[v] += weight * term(own[v], math::load_pack(y + j * n_features + k + v * kWidth));
    }
    for (std::size_t v = 0; v < kPacks; ++v) math::store_pack(terms + k + v * kWidth, sum[v]);
  }
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t k = whole; k < n_features; ++k) terms[k] += weights[j] * term(x[k], y[j * n_features + k]);
}

void weighted_terms(PairSum what, const double* x, const double* y, const double* weights, std::size_t n,
                    std::size_t n_features, double* terms) {
  switch (what) {
    case PairSum::products:
      return weighted_terms_of<PairSum::products>(x, y, weights, n, n_features, terms);
    case PairSum::squares:
      return weighted_terms_of<PairSum::squares>(x, y, weights, n, n_features, terms);
    case PairSum::magnitudes:
      return weighted_terms_of<PairSum::magnitudes>(x, y, weights, n, n_features, terms);
  }
}

void jets(const KernelFunction& function, const double* q, std::size_t n, double* jets) {
  const math::KernelParameters parameters{function.a, function.b};
  const double variance = function.variance;
  for_kind(function, [&](auto kind) {
    for (std::size_t i = 0; i < n; i += kWidth) {
      const math::KernelJet<P> jet = math::kernel_jet<kind.value>(math::load_pack(q + i), parameters);
      math::store_pack(jets + i, variance * jet.f);
      math::store_pack(jets + n + i, variance * jet.d);
      math::store_pack(jets + 2 * n + i, variance * jet.dd);
      math::store_pack(jets + 3 * n + i, variance * jet.ddd);
    }
  });
}

void shape_jets(const KernelFunction& function, const double* q, std::size_t n, double* jets) {
  for (std::size_t i = 0; i < n; i += kWidth) {
    const math::KernelJet<P> jet = math::rational_quadratic_in_log_alpha(math::load_pack(q + i), function.a);
    math::store_pack(jets + i, function.variance * jet.f);
    math::store_pack(jets + n + i, function.variance * jet.d);
    math::store_pack(jets + 2 * n + i, function.variance * jet.dd);
  }
}

template <PairSum what>
void pairs_of(const double* x, const double* y, std::size_t n, std::size_t n_features, double* sums,
              double* directions) {
  const std::size_t whole = n_features - n_features % kWidth;
  for (std::size_t j = 0; j < n; ++j) {
    const double* const other = y + j * n_features;
    double* const direction = directions + j * n_features;
    P sum(0.0);
    for (std::size_t k = 0; k < whole; k += kWidth) {
      const P a = math::load_pack(x + k), b = math::load_pack(other + k), d = a - b;
      add<what>(sum, b, a);
      if constexpr (what == PairSum::squares) math::store_pack(direction + k, d);
      if constexpr (what == PairSum::magnitudes)
        math::store_pack(direction + k, math::select(d == 0.0, P(0.0), math::copysign(P(1.0), d)));
    }
    double rest = math::sum_of_lanes(sum);
    for (std::size_t k = whole; k < n_features; ++k) {
      const double d = x[k] - other[k];
      rest += what == PairSum::products ? x[k] * other[k] : what == PairSum::squares ? d * d : std::abs(d);
      if constexpr (what == PairSum::squares) direction[k] = d;
      if constexpr (what == PairSum::magnitudes) direction[k] = static_cast<double>((d > 0) - (d < 0));
    }
    sums[j] = rest;
  }
}

void pairs(PairSum what, const double* x, const double* y, std::size_t n, std::size_t n_features, double* sums,
           double* directions) {
  switch (what) {
    case PairSum::products:
      return pairs_of<PairSum::products>(x, y, n, n_features, sums, directions);
    case PairSum::squares:
      return pairs_of<PairSum::squares>(x, y, n, n_features, sums, directions);
    case PairSum::magnitudes:
      return pairs_of<PairSum::magnitudes>(x, y, n, n_features, sums, directions);
  }
}

// kMost rows of c, of which `rows` are there: the others are the last once more.
template <std::size_t kMost, std::size_t kAcross>
[[gnu::always_inline]] inline void add_product(std::size_t rows, std::size_t depth, const double* a, std::size_t a_row,
                                               std::size_t a_step, const double* b, std::size_t b_stride, double* c,
                                               std::size_t c_stride) {
  const double* from[kMost];
  P sum[kMost][kAcross];
  for (std::size_t r = 0; r < kMost; ++r) from[r] = a + (r < rows ? r : rows - 1) * a_row;
  for (std::size_t r = 0; r < kMost; ++r)
    for (std::size_t v = 0; v < kAcross; ++v) sum[r][v] = P(0.0);
  for (std::size_t p = 0; p < depth; ++p) {
    P y[kAcross];
    for (std::size_t v = 0; v < kAcross; ++v) y[v] = math::load_pack(b + p * b_stride + v * kWidth);
    for (std::size_t r = 0; r < kMost; ++r) {
      const P one(from[r][p * a_step]);
      for (std::size_t v = 0; v < kAcross; ++v) sum[r][v] += one * y[v];
    }
  }
  for (std::size_t r = 0; r < kMost; ++r) {
    if (r >= rows) break;
    for (std::size_t v = 0; v < kAcross; ++v) {
      double* const at = c + r * c_stride + v * kWidth;
      math::store_pack(at, math::load_pack(at) + sum[r][v]);
    }
  }
}

template <std::size_t kAcross>
void add_products(std::size_t m, std::size_t& j, std::size_t n, std::size_t depth, const double* a, std::size_t a_row,
                  std::size_t a_step, const double* b, std::size_t b_stride, double* c, std::size_t c_stride) {
  for (; j + kAcross * kWidth <= n; j += kAcross * kWidth)
    for (std::size_t i = 0; i < m; i += kRows) {
      if (m - i == 1)
        add_product<1, kAcross>(1, depth, a + i * a_row, a_row, a_step, b + j, b_stride, c + i * c_stride + j,
                                c_stride);
      else
        add_product<kRows, kAcross>(m - i, depth, a + i * a_row, a_row, a_step, b + j, b_stride, c + i * c_stride + j,
                                    c_stride);
    }
}

void product(std::size_t m, std::size_t n, std::size_t depth, const double* a, std::size_t a_row, std::size_t a_step,
             const double* b, std::size_t b_stride, double* c, std::size_t c_stride) {
  for (std::size_t first = 0; first < depth; first += kDepth) {
    const std::size_t steps = depth - first < kDepth ? depth - first : kDepth;
    const double *const from = a + first * a_step, *const with = b + first * b_stride;
    std::size_t j = 0;
    add_products<kVectors>(m, j, n, steps, from, a_row, a_step, with, b_stride, c, c_stride);
    if constexpr (kVectors > 2) add_products<2>(m, j, n, steps, from, a_row, a_step, with, b_stride, c, c_stride);
    add_products<1>(m, j, n, steps, from, a_row, a_step, with, b_stride, c, c_stride);
  }
}

void store(const double* tile, std::size_t m, std::size_t n, double* out, double* mirrored, std::size_t stride) {
  for (std::size_t i = 0; i < m; ++i) __builtin_memcpy(out + i * stride, tile + i * kTile, n * sizeof(double));
  if (mirrored == nullptr) return;
  const std::size_t whole_m = m - m % kWidth, whole_n = n - n % kWidth;
  for (std::size_t j = 0; j < whole_n; j += kWidth)
    for (std::size_t i = 0; i < whole_m; i += kWidth) {
      P block[kWidth];
      for (std::size_t r = 0; r < kWidth; ++r) block[r] = math::load_pack(tile + (i + r) * kTile + j);
      math::transpose(block);
      for (std::size_t r = 0; r < kWidth; ++r) math::store_pack(mirrored + (j + r) * stride + i, block[r]);
    }
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = i < whole_m ? whole_n : 0; j < n; ++j) mirrored[j * stride + i] = tile[i * kTile + j];
}

}  // namespace

namespace AC_ISA {
const KernelMatrixKernels kKernelMatrix{kPanel, sums,       squares, apply,   trace, weighted_terms,
                                        jets,   shape_jets, pairs,   product, store};
}  // namespace AC_ISA

}  // namespace atomcore::cpu
