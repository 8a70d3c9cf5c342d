#include "src/kernel_variance.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kRowsAtATime = 64;  // of a triangular solve, between looks at interrupts

// A kernel of x and z as all kinds share it: with vectors u and w, dk/dx = a u, dk/dz = b w and the mixed second
// derivative d2k/dx dz = c 1 + e u w^T.
struct Terms {
  double f, a, b, c, e;
};

template <math::KernelKind kind>
Terms terms(const double* x, const double* z, std::size_t n, const math::KernelParameters& parameters, double* u,
            double* w) {
  double q = 0.0;
  for (std::size_t k = 0; k < n; ++k) {
    const double d = x[k] - z[k];
    if constexpr (kind == math::KernelKind::polynomial) {
      q += x[k] * z[k];
      u[k] = z[k], w[k] = x[k];
    } else if constexpr (kind == math::KernelKind::laplacian) {
      q += std::abs(d);
      u[k] = w[k] = d > 0.0 ? 1.0 : (d < 0.0 ? -1.0 : 0.0);
    } else {
      q += d * d;
      u[k] = w[k] = d;
    }
  }
  const math::KernelJet<double> jet = math::kernel_jet<kind>(q, parameters);
  if constexpr (kind == math::KernelKind::polynomial) return {jet.f, jet.d, jet.d, jet.d, jet.dd};
  if constexpr (kind == math::KernelKind::laplacian) return {jet.f, jet.d, -jet.d, 0.0, 0.0};
  return {jet.f, 2.0 * jet.d, -2.0 * jet.d, -2.0 * jet.d, -4.0 * jet.dd};
}

using TermsOf = Terms (*)(const double*, const double*, std::size_t, const math::KernelParameters&, double*, double*);

TermsOf terms_of(math::KernelKind kind) {
  using math::KernelKind;
  constexpr TermsOf all[math::kKernelKinds] = {
      terms<KernelKind::rbf>,       terms<KernelKind::matern12>,           terms<KernelKind::matern32>,
      terms<KernelKind::matern52>,  terms<KernelKind::rational_quadratic>, terms<KernelKind::laplacian>,
      terms<KernelKind::polynomial>};
  return all[static_cast<int>(kind)];
}

// One structure of a set.
struct Part {
  const double* x;
  const std::int32_t* elements;
  std::size_t n;
  const double* jacobian;  // [n, n_features, m]; null where derivatives are not wanted, or where it has no entries
  std::size_t m;
};

// Of a set whose Jacobians begin at `jacobian` for this structure; it may be empty where there are derivatives, since
// there are no points or no features.
Part part_of(const PointSet& set, std::size_t s, std::size_t n_features, std::size_t jacobian, bool derivatives) {
  const std::size_t first = set.first[s], m = derivatives ? set.variables[s] : 0;
  return {set.x.data() + first * n_features, set.elements.data() + first, set.first[s + 1] - first,
          m > 0 ? set.jacobian.data() + jacobian : nullptr, m};
}

// The covariances of the points of one structure, in their features, with the energy and the derivatives of another.
struct Block {
  std::vector<double> energy;           // [n], of values with the energy
  std::vector<double> energy_gradient;  // [n, K], of gradients with the energy
  std::vector<double> value;            // [n, m], of values with the derivatives
  std::vector<double> gradient;         // [n, K, m], of gradients with the derivatives
  std::vector<double> u, w, along;      // [K], [K], [m]

  void fill(const Part& points, const Part& other, std::size_t K, TermsOf kernel,
            const math::KernelParameters& parameters);
};

void Block::fill(const Part& points, const Part& other, std::size_t K, TermsOf kernel,
                 const math::KernelParameters& parameters) {
  const std::size_t m = other.m;
  const bool slopes = points.jacobian != nullptr;
  energy.assign(points.n, 0.0);
  energy_gradient.assign(slopes ? points.n * K : 0, 0.0);
  value.assign(points.n * m, 0.0);
  gradient.assign(slopes ? points.n * K * m : 0, 0.0);
  u.resize(K), w.resize(K), along.resize(m);
  for (std::size_t i = 0; i < points.n; ++i)
    for (std::size_t j = 0; j < other.n; ++j) {
      if (points.elements[i] != other.elements[j]) continue;
      const Terms t = kernel(points.x + i * K, other.x + j * K, K, parameters, u.data(), w.data());
      const double* const J = other.jacobian + j * K * m;
      energy[i] += t.f;
      std::fill(along.begin(), along.end(), 0.0);
      for (std::size_t k = 0; k < K && m > 0; ++k)
        for (std::size_t v = 0; v < m; ++v) along[v] += w[k] * J[k * m + v];
      for (std::size_t v = 0; v < m; ++v) value[i * m + v] += t.b * along[v];
      for (std::size_t k = 0; k < K && slopes; ++k) {
        energy_gradient[i * K + k] += t.a * u[k];
        double* const row = gradient.data() + (i * K + k) * m;
        for (std::size_t v = 0; v < m; ++v) row[v] += t.c * J[k * m + v] + t.e * u[k] * along[v];
      }
    }
}

// Covariances of what is predicted, [1 + n + m]: the energy, that of each point and each derivative, with one energy.
void energy_row(const Part& points, const Block& block, std::size_t K, double* row) {
  std::fill_n(row, 1 + points.n + points.m, 0.0);
  for (std::size_t i = 0; i < points.n; ++i) {
    row[0] += block.energy[i];
    row[1 + i] = block.energy[i];
    for (std::size_t k = 0; k < K && points.m > 0; ++k)
      for (std::size_t v = 0; v < points.m; ++v)
        row[1 + points.n + v] += block.energy_gradient[i * K + k] * points.jacobian[(i * K + k) * points.m + v];
  }
}

// The same [m_other, 1 + n + m] with the derivatives of another structure.
void gradient_rows(const Part& points, const Block& block, std::size_t K, std::size_t m_other, double* rows) {
  const std::size_t width = 1 + points.n + points.m;
  std::fill_n(rows, m_other * width, 0.0);
  for (std::size_t i = 0; i < points.n; ++i) {
    for (std::size_t a = 0; a < m_other; ++a) {
      rows[a * width] += block.value[i * m_other + a];
      rows[a * width + 1 + i] = block.value[i * m_other + a];
    }
    for (std::size_t k = 0; k < K && points.m > 0; ++k) {
      const double* const J = points.jacobian + (i * K + k) * points.m;
      for (std::size_t a = 0; a < m_other; ++a) {
        const double h = block.gradient[(i * K + k) * m_other + a];
        double* const row = rows + a * width + 1 + points.n;
        for (std::size_t v = 0; v < points.m; ++v) row[v] += h * J[v];
      }
    }
  }
}

// B <- L^-1 B for columns [begin, end) of B [n, width], L a lower triangle row by row.
void solve_lower(const std::vector<double>& L, double* B, std::size_t n, std::size_t width, std::size_t begin,
                 std::size_t end, Interruptible& user) {
  for (std::size_t i = 0; i < n; ++i) {
    if (i % kRowsAtATime == 0) user.check();
    const double* const row = L.data() + i * (i + 1) / 2;
    double* const out = B + i * width;
    std::size_t j = 0;
    for (; j + 4 <= i; j += 4) {  // four at a time: what is solved passes through once
      const double *const s0 = B + j * width, *const s1 = s0 + width, *const s2 = s1 + width, *const s3 = s2 + width;
      for (std::size_t c = begin; c < end; ++c)
        out[c] -= (row[j] * s0[c] + row[j + 1] * s1[c]) + (row[j + 2] * s2[c] + row[j + 3] * s3[c]);
    }
    for (; j < i; ++j)
      for (std::size_t c = begin; c < end; ++c) out[c] -= row[j] * B[j * width + c];
    for (std::size_t c = begin; c < end; ++c) out[c] /= row[i];
  }
}

void add_squares(const double* B, std::size_t n, std::size_t width, double sign, std::vector<double>& sums) {
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < width; ++c) sums[c] += sign * B[i * width + c] * B[i * width + c];
}

}  // namespace

KernelVariance::KernelVariance(std::shared_ptr<const VarianceRecord> record) : record_(std::move(record)) {
  const PointSet& observed = record_->observed;
  const std::size_t S = observed.first.size() - 1;
  row_of_energy_.resize(S), row_of_gradient_.resize(S), first_jacobian_.resize(S);
  for (std::size_t s = 0, at = 0; s < S && record_->gradients; ++s) {
    first_jacobian_[s] = at;
    at += (observed.first[s + 1] - observed.first[s]) * record_->n_features * observed.variables[s];
  }
  for (std::size_t b = 0; b + 1 < record_->batches.size(); ++b) {
    for (std::size_t s = record_->batches[b]; s < record_->batches[b + 1] && record_->energies; ++s)
      row_of_energy_[s] = n_observed_++;
    for (std::size_t s = record_->batches[b]; s < record_->batches[b + 1] && record_->gradients; ++s) {
      row_of_gradient_[s] = n_observed_;
      n_observed_ += observed.variables[s];
    }
  }
}

// covariances [n_observed, 1 + n + m], without the variance of the kernel
void KernelVariance::covary(const PointSet& structure, double* covariances, int n_threads) const {
  const std::size_t K = record_->n_features;
  const Part points = part_of(structure, 0, K, 0, true);
  const std::size_t width = 1 + points.n + points.m;
  const TermsOf kernel = terms_of(record_->kind);
  Interruptible user;
  const auto n = static_cast<std::int64_t>(row_of_energy_.size());
  parallel_for(n, n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
    Block block;
    for (auto s = static_cast<std::size_t>(begin); s < static_cast<std::size_t>(end); ++s) {
      user.check();
      const Part other = part_of(record_->observed, s, K, first_jacobian_[s], record_->gradients);
      block.fill(points, other, K, kernel, record_->parameters);
      if (record_->energies) energy_row(points, block, K, covariances + row_of_energy_[s] * width);
      if (record_->gradients) gradient_rows(points, block, K, other.m, covariances + row_of_gradient_[s] * width);
    }
  });
}

KernelVariance::Result KernelVariance::of(const PointSet& structure, int n_threads) const {
  const std::size_t K = record_->n_features;
  const Part points = part_of(structure, 0, K, 0, true);
  if (points.m > 0 && math::smoothness(record_->kind) < 2)
    throw Error(ErrorCode::invalid_value,
                "the kernel of the model has no second derivatives, and so forces no variance");
  const std::size_t width = 1 + points.n + points.m;
  std::vector<double> variance(width), covariances(n_observed_ * width), own(points.m * width);
  Block block;
  block.fill(points, points, K, terms_of(record_->kind), record_->parameters);
  energy_row(points, block, K, variance.data());
  gradient_rows(points, block, K, points.m, own.data());
  for (std::size_t i = 0; i < points.n; ++i) {
    const double* const x = points.x + i * K;
    variance[1 + i] = terms_of(record_->kind)(x, x, K, record_->parameters, block.u.data(), block.w.data()).f;
  }
  for (std::size_t v = 0; v < points.m; ++v) variance[1 + points.n + v] = own[v * width + 1 + points.n + v];
  for (double& x : variance) x *= record_->variance;
  covary(structure, covariances.data(), n_threads);
  for (double& x : covariances) x *= record_->variance;
  Interruptible user;
  const auto solve = [&](const std::vector<double>& factor) {
    parallel_for(static_cast<std::int64_t>(width), n_threads, 8, [&](std::int64_t begin, std::int64_t end) {
      solve_lower(factor, covariances.data(), n_observed_, width, static_cast<std::size_t>(begin),
                  static_cast<std::size_t>(end), user);
    });
  };
  solve(record_->factor);
  add_squares(covariances.data(), n_observed_, width, -1.0, variance);
  if (!record_->outer_factor.empty()) {
    solve(record_->outer_factor);
    add_squares(covariances.data(), n_observed_, width, 1.0, variance);
  }
  if (!std::all_of(variance.begin(), variance.end(), [](double x) { return std::isfinite(x); }))
    throw Error(ErrorCode::overflow, "the model's spread is not finite for this structure");
  for (double& x : variance) x = std::max(x, 0.0);  // rounding makes what is nothing negative
  const auto first = variance.begin() + 1, derivatives = first + static_cast<std::ptrdiff_t>(points.n);
  return {variance[0], {first, derivatives}, {derivatives, variance.end()}};
}

}  // namespace atomcore
