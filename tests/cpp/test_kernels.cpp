// Covariance functions against textbook formulas and dual numbers, and the pieces of kernel matrices of every
// instruction set against plain loops.
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "math/distance_kernels.hpp"
#include "src/covariance.hpp"
#include "src/kernel_expansion.hpp"
#include "src/kernel_matrix.hpp"

using namespace atomcore;
using cpu::KernelMatrixKernels;
using cpu::kTile;
using cpu::PairSum;
using math::Dual;
using math::KernelKind;

namespace {

constexpr double kExact = 1e-13;  // times the largest value compared

math::KernelParameters parameters_of(KernelKind kind) {
  if (kind == KernelKind::polynomial) return {0.75, 4};
  return {kind == KernelKind::rational_quadratic ? 0.6 : 0.0, 0.0};
}

double textbook(KernelKind kind, double q) {
  const auto [a, b] = parameters_of(kind);
  const double r = std::sqrt(q), s3 = std::sqrt(3.0) * r, s5 = std::sqrt(5.0) * r;
  switch (kind) {
    case KernelKind::rbf:
      return std::exp(-r * r / 2);
    case KernelKind::matern12:
      return std::exp(-r);
    case KernelKind::matern32:
      return (1 + s3) * std::exp(-s3);
    case KernelKind::matern52:
      return (1 + s5 + s5 * s5 / 3) * std::exp(-s5);
    case KernelKind::rational_quadratic:
      return std::pow(1 + q / (2 * a), -a);
    case KernelKind::laplacian:
      return std::exp(-q);
    case KernelKind::polynomial:
      return std::pow(q + a, b);
  }
  return NAN;
}

template <KernelKind kind>
void check_jet() {
  const char* const name = kKernelNames[static_cast<int>(kind)];
  const math::KernelParameters parameters = parameters_of(kind);
  for (const double q : {1e-3, 0.03, 0.4, 1.0, 2.7, 9.0, 40.0}) {
    const auto jet = math::kernel_jet<kind>(q, parameters);
    const auto dual = math::kernel_jet<kind>(Dual<double>(q, 1.0), parameters);
    check_close(name, "value", {jet.f}, {textbook(kind, q)}, kExact);
    check_close(name, "derivatives by dual numbers", {dual.f.d / jet.d, dual.d.d / jet.dd, dual.dd.d / jet.ddd},
                {1.0, 1.0, 1.0}, 10 * kExact);
    const double h = 1e-3 * std::min(q, 1.0);
    const auto difference = [&](auto part) {
      const auto at = [&](double x) { return part(math::kernel_jet<kind>(x, parameters)); };
      return (8 * (at(q + h) - at(q - h)) - (at(q + 2 * h) - at(q - 2 * h))) / (12 * h);
    };
    check_close(
        name, "derivatives by differences",
        {difference([](const auto& j) { return j.f; }) / jet.d, difference([](const auto& j) { return j.d; }) / jet.dd,
         difference([](const auto& j) { return j.dd; }) / jet.ddd},
        {1.0, 1.0, 1.0}, 1e-8);
  }
  const auto zero = math::kernel_jet<kind>(0.0, parameters);
  check(zero.f == textbook(kind, 0), std::string(name) + ", value at 0");
  check(std::isfinite(zero.d) && std::isfinite(zero.dd) && std::isfinite(zero.ddd),
        std::string(name) + ", derivatives at 0 are finite");
}

// Derivatives in the logarithm of alpha by differences.
void check_alpha() {
  const double alpha = 0.6, h = 1e-3;
  for (const double q : {0.0, 0.4, 3.0}) {
    const auto at = [&](double log_step) {
      return math::kernel_jet<KernelKind::rational_quadratic>(q, {alpha * std::exp(log_step), 0.0});
    };
    const auto difference = [&](auto part) {
      return (8 * (part(at(h)) - part(at(-h))) - (part(at(2 * h)) - part(at(-2 * h)))) / (12 * h);
    };
    const auto found = math::rational_quadratic_in_log_alpha(q, alpha);
    check_close("rational_quadratic", "in alpha", {found.f, found.d, found.dd},
                {difference([](const auto& j) { return j.f; }), difference([](const auto& j) { return j.d; }),
                 difference([](const auto& j) { return j.dd; })},
                1e-10);
  }
}

std::vector<double> random_numbers(std::size_t n) {
  static std::mt19937 random(11);
  std::normal_distribution<double> normal;
  std::vector<double> numbers(n);
  for (double& x : numbers) x = normal(random);
  return numbers;
}

double plain_sum(PairSum what, const double* x, const double* y, std::size_t n) {
  double sum = 0;
  for (std::size_t k = 0; k < n; ++k)
    sum += what == PairSum::products  ? x[k] * y[k]
           : what == PairSum::squares ? (x[k] - y[k]) * (x[k] - y[k])
                                      : std::abs(x[k] - y[k]);
  return sum;
}

void check_functions(const char* isa, const KernelMatrixKernels& kernels) {
  constexpr std::size_t n = 16;
  std::vector<double> q(n), jets(4 * n), expected(4 * n);
  for (std::size_t i = 0; i < n; ++i) q[i] = 0.37 * static_cast<double>(i * i) / 16;
  const auto check_kind = [&](auto kind) {
    const math::KernelParameters parameters = parameters_of(kind.value);
    kernels.jets({static_cast<int>(kind.value), parameters.a, parameters.b, 1.7}, q.data(), n, jets.data());
    for (std::size_t i = 0; i < n; ++i) {
      const auto jet = math::kernel_jet<kind.value>(q[i], parameters);
      for (const auto& [order, value] : {std::pair{0, jet.f}, {1, jet.d}, {2, jet.dd}, {3, jet.ddd}})
        expected[static_cast<std::size_t>(order) * n + i] = 1.7 * value;
    }
    check_close(isa, kKernelNames[static_cast<int>(kind.value)], jets, expected, kExact);
  };
  check_kind(std::integral_constant<KernelKind, KernelKind::rbf>());
  check_kind(std::integral_constant<KernelKind, KernelKind::matern12>());
  check_kind(std::integral_constant<KernelKind, KernelKind::matern32>());
  check_kind(std::integral_constant<KernelKind, KernelKind::matern52>());
  check_kind(std::integral_constant<KernelKind, KernelKind::rational_quadratic>());
  check_kind(std::integral_constant<KernelKind, KernelKind::laplacian>());
  check_kind(std::integral_constant<KernelKind, KernelKind::polynomial>());
}

// m points with n of panels, sums and their transposed copies.
void check_tiles(const char* isa, const KernelMatrixKernels& kernels, std::size_t m, std::size_t n, std::size_t K) {
  const std::vector<double> x = random_numbers(m * K), y = random_numbers(n * K);
  const std::size_t panel = kernels.panel, n_panels = (n + panel - 1) / panel;
  std::vector<double> panels(n_panels * panel * K), x_squares(m), y_squares(n_panels * panel), tile(kTile * kTile);
  for (std::size_t j = 0; j < n; ++j)
    for (std::size_t k = 0; k < K; ++k) panels[(j / panel * K + k) * panel + j % panel] = y[j * K + k];
  const std::vector<double> origin(K);
  for (std::size_t i = 0; i < m; ++i) x_squares[i] = plain_sum(PairSum::squares, &x[i * K], origin.data(), K);
  for (std::size_t j = 0; j < n; ++j) y_squares[j] = plain_sum(PairSum::squares, &y[j * K], origin.data(), K);
  const auto compare = [&](PairSum what, const char* name) {
    std::vector<double> found, expected, out(m * n), mirrored(n * m), transposed(n * m);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        found.push_back(tile[i * kTile + j]);
        expected.push_back(plain_sum(what, &x[i * K], &y[j * K], K));
        transposed[j * m + i] = found.back();
      }
    check_close(isa, name, found, expected, kExact);
    const std::size_t side = std::max(m, n);
    std::vector<double> square(side * side, -1.0), other(side * side, -1.0);
    kernels.store(tile.data(), m, n, square.data(), other.data(), side);
    bool same = true;
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n; ++j)
        same &= square[i * side + j] == found[i * n + j] && other[j * side + i] == found[i * n + j];
    check(same, std::string(isa) + ", a tile and its transpose");
  };
  kernels.sums(PairSum::products, x.data(), m, panels.data(), n_panels, K, tile.data());
  compare(PairSum::products, "products");
  kernels.sums(PairSum::squares, x.data(), m, panels.data(), n_panels, K, tile.data());
  compare(PairSum::squares, "squares");
  kernels.sums(PairSum::magnitudes, x.data(), m, panels.data(), n_panels, K, tile.data());
  compare(PairSum::magnitudes, "magnitudes");
  kernels.squares(x.data(), x_squares.data(), m, panels.data(), y_squares.data(), n_panels, K, tile.data());
  compare(PairSum::squares, "squares by products");
}

void check_pairs(const char* isa, const KernelMatrixKernels& kernels, std::size_t n, std::size_t K) {
  const std::vector<double> x = random_numbers(K);
  std::vector<double> y = random_numbers(n * K), sums(n), directions(n * K), expected(n), along(n * K);
  y[0] = x[0];
  for (const PairSum what : {PairSum::products, PairSum::squares, PairSum::magnitudes}) {
    kernels.pairs(what, x.data(), y.data(), n, K, sums.data(), directions.data());
    for (std::size_t j = 0; j < n; ++j) {
      expected[j] = plain_sum(what, x.data(), &y[j * K], K);
      for (std::size_t k = 0; k < K; ++k) {
        const double d = x[k] - y[j * K + k];
        along[j * K + k] = what == PairSum::squares ? d : static_cast<double>((d > 0) - (d < 0));
      }
    }
    check_close(isa, "pairs", sums, expected, kExact);
    if (what != PairSum::products) check_close(isa, "directions", directions, along, 0);
  }
}

void check_products(const char* isa, const KernelMatrixKernels& kernels, std::size_t m, std::size_t n,
                    std::size_t depth) {
  const std::vector<double> a = random_numbers(m * depth), b = random_numbers(depth * n);
  const std::vector<double> start = random_numbers(m * n);
  for (const bool transposed : {false, true}) {
    std::vector<double> c = start, expected = start;
    const std::size_t row = transposed ? 1 : depth, step = transposed ? m : 1;
    kernels.product(m, n, depth, a.data(), row, step, b.data(), n, c.data(), n);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n; ++j)
        for (std::size_t p = 0; p < depth; ++p) expected[i * n + j] += a[i * row + p * step] * b[p * n + j];
    check_close(isa, "product", c, expected, kExact);
  }
}

// The same numbers for any number of threads: structures with rows of two elements and Jacobians.
void check_threads() {
  constexpr std::size_t n_structures = 9, n_rows = 4, K = 17, m = 5;
  const std::vector<double> x = random_numbers(n_structures * n_rows * K), scales(K, 4.0);
  const std::vector<double> jacobians = random_numbers(n_structures * n_rows * K * m);
  std::vector<std::int32_t> elements;
  std::vector<std::int64_t> structure_ptr{0}, gradient_ptr{0};
  cpu::PointSet set{n_structures * n_rows, n_structures, x.data(), nullptr, nullptr, {}, nullptr};
  for (std::size_t s = 0; s < n_structures; ++s) {
    elements.insert(elements.end(), {8, 1, 1, 8});
    structure_ptr.push_back(structure_ptr.back() + n_rows);
    gradient_ptr.push_back(gradient_ptr.back() + m);
    set.jacobians.push_back(jacobians.data() + s * n_rows * K * m);
  }
  set.elements = elements.data();
  set.structure_ptr = structure_ptr.data();
  set.gradient_ptr = gradient_ptr.data();
  const cpu::Observed observed{true, true};
  const cpu::ScaledKernel kernel{{static_cast<int>(KernelKind::matern52), 0, 0, 1.3}, K, scales.data()};
  const std::size_t n = observed.size(set);
  const std::vector<double> W = random_numbers(n * n);
  std::vector<double> K1(n * n), K3(n * n), apart(n * n);
  cpu::covariance(kernel, set, observed, nullptr, observed, K1.data(), 1);
  cpu::covariance(kernel, set, observed, nullptr, observed, K3.data(), 3);
  cpu::covariance(kernel, set, observed, &set, observed, apart.data(), 3);
  check_close("covariance", "threads", K3, K1, 0);
  check_close("covariance", "one set or two", apart, K1, kExact);
  const auto first = cpu::gradient_of_trace(kernel, set, observed, nullptr, observed, W.data(), false, 1);
  const auto again = cpu::gradient_of_trace(kernel, set, observed, nullptr, observed, W.data(), false, 3);
  check_close("gradient of a trace", "threads", again.scales, first.scales, 0);
  check(again.variance == first.variance, "gradient of a trace, in the variance");
}

}  // namespace

int main() {
  check_jet<KernelKind::rbf>();
  check_jet<KernelKind::matern12>();
  check_jet<KernelKind::matern32>();
  check_jet<KernelKind::matern52>();
  check_jet<KernelKind::rational_quadratic>();
  check_jet<KernelKind::laplacian>();
  check_jet<KernelKind::polynomial>();
  check_alpha();
  check_threads();
  const char* const names[] = {"portable", "avx2", "avx512"};
  const auto variants = cpu::kernel_matrix_variants();
  for (std::size_t v = 0; v < variants.size(); ++v) {
    check_functions(names[v], *variants[v]);
    for (const std::size_t m : {1, 8, 13, 96})
      for (const std::size_t n : {1, 24, 31, 96})
        for (const std::size_t K : {0, 1, 7, 200}) check_tiles(names[v], *variants[v], m, n, K);
    for (const std::size_t K : {1, 8, 13}) check_pairs(names[v], *variants[v], 5, K);
    for (const std::size_t m : {1, 2, 8, 27})
      for (const std::size_t n : {8, 16, 24, 56})
        for (const std::size_t depth : {1, 5, 400}) check_products(names[v], *variants[v], m, n, depth);
  }
  return report();
}
