// Sums of every kernel and their gradients beside plain loops on dual numbers; covariances of forces in all storages;
// GDML models under strain.
#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "src/error.hpp"
#include "src/gdml_model.hpp"
#include "src/kernel_expansion.hpp"
#include "src/packed.hpp"

using namespace atomcore;
using cpu::KernelExpansion;
using cpu::KernelSum;
using math::KernelKind;

namespace {

std::mt19937 generator(7);

std::vector<double> random_values(std::size_t n, double from, double to) {
  std::uniform_real_distribution<double> uniform(from, to);
  std::vector<double> values(n);
  for (double& x : values) x = uniform(generator);
  return values;
}

// Of the text of distance_kernels.hpp: q of two points, and (d q/dz) . v.
template <KernelKind kind, typename T>
std::pair<T, T> relation(const std::vector<T>& x, const double* z, const double* v, double length) {
  T q(0.0), slope(0.0);
  for (std::size_t k = 0; k < x.size(); ++k) {
    const T d = (x[k] - T(z[k])) * T(1.0 / length);
    if constexpr (kind == KernelKind::polynomial) {
      q += x[k] * T(z[k]);
      if (v != nullptr) slope += x[k] * T(v[k]);
    } else if constexpr (kind == KernelKind::laplacian) {
      q += abs(x[k] - T(z[k]));
    } else {
      q += d * d;
      if (v != nullptr) slope += T(-2.0 / length) * d * T(v[k]);
    }
  }
  return {q, slope};
}

template <KernelKind kind, typename T>
T plain_sum(const KernelSum& sum, const std::vector<T>& x) {
  T total(0.0);
  const std::size_t K = sum.n_features;
  for (std::size_t m = 0; m * K < sum.centres.size(); ++m) {
    const double* const v = sum.derivative_coefficients.empty() ? nullptr : &sum.derivative_coefficients[m * K];
    const auto [q, slope] = relation<kind>(x, &sum.centres[m * K], v, sum.length);
    const auto jet = math::kernel_jet<kind>(q, sum.parameters);
    if (!sum.coefficients.empty()) total += T(sum.coefficients[m]) * jet.f;
    total += jet.d * slope;
  }
  return total;
}

struct Case {
  std::size_t n_features, n_centres, n_points;
  bool coefficients, derivatives;
};

template <KernelKind kind>
void sums(const Case& c, double length) {
  const std::size_t K = c.n_features;
  KernelSum sum{kind, {1.5, 3.0}, K, random_values(c.n_centres * K, -1, 1), {}, {}, length};
  if (c.coefficients) sum.coefficients = random_values(c.n_centres, -1, 1);
  if (c.derivatives) sum.derivative_coefficients = random_values(c.n_centres * K, -1, 1);
  const std::vector<double> x = random_values(c.n_points * K, -1, 1);
  const KernelExpansion expansion(sum);
  KernelExpansion::Workspace work;
  std::vector<double> values(c.n_points), gradients(x.size()), expected(c.n_points), slopes(x.size());
  expansion.evaluate(x.data(), c.n_points, values.data(), gradients.data(), work);
  for (std::size_t p = 0; p < c.n_points; ++p)
    for (std::size_t k = 0; k < K; ++k) {
      std::vector<math::Dual<double>> point;
      for (std::size_t l = 0; l < K; ++l) point.emplace_back(x[p * K + l], l == k ? 1.0 : 0.0);
      const auto f = plain_sum<kind>(sum, point);
      expected[p] = f.v;
      slopes[p * K + k] = f.d;
    }
  const std::string name = "kernel " + std::to_string(static_cast<int>(kind)) + " of " + std::to_string(K) +
                           " features, " + std::to_string(c.n_centres) + " centres";
  check_close(name.c_str(), "values", values, expected, 1e-12);
  check_close(name.c_str(), "gradients", gradients, slopes, 1e-12);
  bool same = true;
  std::vector<double> alone(K), only(1);
  for (std::size_t p = 0; p < c.n_points; ++p) {
    double value = 0;
    expansion.evaluate(x.data() + p * K, 1, &value, alone.data(), work);
    expansion.evaluate(x.data() + p * K, 1, only.data(), nullptr, work);
    same = same && value == values[p] && only[0] == value;
    for (std::size_t k = 0; k < K; ++k) same = same && alone[k] == gradients[p * K + k];
  }
  check(same, name + ": a point alone differs from itself among others");
}

template <KernelKind kind>
void all_sums() {
  for (const Case& c : {Case{1, 1, 1, true, false}, Case{3, 31, 13, true, false}, Case{36, 70, 9, true, false}})
    sums<kind>(c, 1.0);
  if constexpr (math::smoothness(kind) > 0)
    for (const Case& c : {Case{1, 3, 2, true, true}, Case{5, 32, 7, false, true}, Case{36, 40, 11, true, true}})
      sums<kind>(c, 1.0);
  if constexpr (math::is_radial(kind)) sums<kind>({5, 9, 4, true, math::smoothness(kind) > 0}, 2.5);
}

// A kernel at a centre itself, where distances are zero.
template <KernelKind kind>
void at_a_centre() {
  const std::vector<double> z = random_values(4, -1, 1);
  const KernelExpansion expansion({kind, {1.5, 3.0}, 4, z, {1.0}, {}});
  KernelExpansion::Workspace work;
  double value = 0;
  std::vector<double> gradient(4);
  expansion.evaluate(z.data(), 1, &value, gradient.data(), work);
  check_close("at a centre", "value", {value}, {1.0}, 1e-15);
  check_close("at a centre", "gradient", gradient, std::vector<double>(4, 0.0), 1e-15);
}

// One matrix in all storages, by rows and by its products, with one thread and with three.
void covariance(std::size_t n_structures, bool energies) {
  const std::size_t N = 5, D = 10;
  const cpu::InverseDistances distances(N, {});
  std::vector<double> x(n_structures * D), C(3 * x.size());
  for (std::size_t i = 0; i < n_structures; ++i)
    distances.evaluate(random_values(3 * N, -2, 2).data(), x.data() + i * D, C.data() + 3 * i * D);
  const std::vector<std::int64_t> permutations{0, 1, 2, 3, 4, 0, 2, 3, 1, 4, 0, 3, 1, 2, 4};
  const cpu::GdmlCovariance all(N, x, C, permutations, 1.3);
  using Storage = cpu::GdmlCovariance::Storage;
  const std::size_t n = all.size(energies);
  const PackedLayout layout{static_cast<std::int64_t>(n)};
  std::vector<double> full(n * n), lower(n * n, 7.0), packed(static_cast<std::size_t>(layout.size())), half,
      rows(n * n);
  all.fill(full.data(), Storage::full, energies, 0, n_structures, 1);
  all.fill(lower.data(), Storage::lower, energies, 0, n_structures, 3);
  for (std::size_t i = 0; i < n_structures; ++i) all.fill(packed.data(), Storage::packed, energies, i, i + 1, 3);
  std::vector<std::int64_t> indices(n);
  for (std::size_t i = 0; i < n; ++i) indices[i] = static_cast<std::int64_t>(i);
  all.rows(indices, energies, rows.data(), 3);
  bool untouched = true;
  std::vector<double> expected;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      const auto offset = layout.block(static_cast<std::int64_t>(i), static_cast<std::int64_t>(j)).offset;
      half.push_back(packed[static_cast<std::size_t>(offset)]);
      expected.push_back(full[i * n + j]);
      untouched = untouched && lower[i * n + j] == full[i * n + j] && (i == j || lower[j * n + i] == 7.0);
    }
  check(untouched, "the lower half is not the whole one, or more than that");
  check(rows == full, "rows of a covariance are not the rows of the whole");
  check_close("a covariance", "packed", half, expected, 1e-14);
  const std::vector<double> vector = random_values(n, -1, 1);
  std::vector<double> product(n), plain(n);
  all.product(vector.data(), energies, product.data(), 3);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) plain[i] += full[i * n + j] * vector[j];
  check_close("a covariance", "product", product, plain, 1e-12);
}

template <typename Make>
void refused(const std::string& what, const std::string& said, const Make& make) {
  std::string message;
  try {
    make();
  } catch (const Error& error) {
    message = error.what();
  }
  check(message.find(said) != std::string::npos, what + " is refused with '" + said + "', not '" + message + "'");
}

GdmlRecord small_model() {
  GdmlRecord record{4, 0.8, 1.7, -3.0, {7, 0.3, 0, 0, 6, 0.2, 0.5, 0, 8}, {}, {}, {}, {0, 1, 2, 3, 0, 1, 3, 2}};
  record.descriptors = random_values(5 * 6, 0.3, 1.0);
  record.derivative_coefficients = random_values(5 * 6, -1, 1);
  record.energy_coefficients = random_values(5, -1, 1);
  return record;
}

void strain() {
  const GdmlRecord record = small_model();
  std::vector<double> r = random_values(12, -1.5, 1.5);
  r[3] += 7.0;  // another image
  double energy = 0;
  std::vector<double> gradient(12), strain_gradient(9), expected(9);
  GdmlModel::Workspace work;
  GdmlModel(record).evaluate(r.data(), 1, &energy, gradient.data(), strain_gradient.data(), work);
  const double step = 1e-5;
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b) {
      double near[2];
      for (int side = 0; side < 2; ++side) {
        GdmlRecord strained = record;
        std::vector<double> moved = r;
        for (auto* vectors : {&strained.lattice, &moved})
          for (std::size_t i = 0; i < vectors->size(); i += 3)
            (*vectors)[i + a] += (side == 0 ? step : -step) * (vectors == &moved ? r : record.lattice)[i + b];
        GdmlModel(strained).evaluate(moved.data(), 1, &near[side], nullptr, nullptr, work);
      }
      expected[3 * a + b] = (near[0] - near[1]) / (2 * step);
    }
  check_close("a periodic model", "strain gradient", strain_gradient, expected, 1e-8);
}

void refusals() {
  refused("a derivative of the Laplacian", "derivative coefficients",
          [] { KernelExpansion({KernelKind::laplacian, {}, 1, {0.5}, {}, {1.0}}); });
  refused("a length of a polynomial", "length is 2",
          [] { KernelExpansion({KernelKind::polynomial, {1.0, 2.0}, 1, {0.5}, {1.0}, {}, 2.0}); });
  const auto changed = [](auto change) {
    GdmlRecord record = small_model();
    change(record);
    return [record] { GdmlModel model(record); };
  };
  refused("no atoms", "n_atoms is 0", changed([](GdmlRecord& r) { r.n_atoms = 0; }));
  refused("no length", "sigma is 0", changed([](GdmlRecord& r) { r.sigma = 0; }));
  refused("NaN", "descriptors holds", changed([](GdmlRecord& r) { r.descriptors[3] = NAN; }));
  refused("too few", "derivative_coefficients has 29",
          changed([](GdmlRecord& r) { r.derivative_coefficients.pop_back(); }));
  refused("no permutation", "permutations[1, 3] is 3", changed([](GdmlRecord& r) { r.permutations[7] = 3; }));
  refused("a flat cell", "lattice has the volume 0", changed([](GdmlRecord& r) { r.lattice.assign(9, 1.0); }));
  std::vector<double> r(12, 0.0), energy(1);
  GdmlModel::Workspace work;
  refused("atoms at one place", "positions of the atoms 0 and 1 are 0",
          [&] { GdmlModel(small_model()).evaluate(r.data(), 1, energy.data(), nullptr, nullptr, work); });
}

}  // namespace

int main() {
  all_sums<KernelKind::rbf>();
  all_sums<KernelKind::matern12>();
  all_sums<KernelKind::matern32>();
  all_sums<KernelKind::matern52>();
  all_sums<KernelKind::rational_quadratic>();
  all_sums<KernelKind::laplacian>();
  all_sums<KernelKind::polynomial>();
  at_a_centre<KernelKind::rbf>();
  at_a_centre<KernelKind::matern12>();
  at_a_centre<KernelKind::matern32>();
  at_a_centre<KernelKind::matern52>();
  at_a_centre<KernelKind::rational_quadratic>();
  at_a_centre<KernelKind::laplacian>();
  for (const std::size_t n : {1, 8, 11})
    for (const bool energies : {false, true}) covariance(n, energies);
  strain();
  refusals();
  return report();
}
