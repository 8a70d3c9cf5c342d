// Features and their first and second derivatives against textbook formulas, written once more here in the plainest way
// and differentiated by (nested) dual numbers.
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "math/dual.hpp"
#include "math/symmetry_functions.hpp"
#include "src/error.hpp"
#include "src/feature_plan.hpp"

using namespace atomcore;
using math::Dual;
using Second = Dual<Dual<double>>;

namespace {

constexpr double kTolerance = 1e-13;  // times the largest value compared

double acos_of(double x) { return std::acos(x); }
template <typename T>
Dual<T> acos_of(const Dual<T>& x) {
  using math::sqrt;
  using std::sqrt;
  return {acos_of(x.v), -(x.d / sqrt(1.0 - x.v * x.v))};
}
double pow_of(double x, double p) { return std::pow(x, p); }
template <typename T>
Dual<T> pow_of(const Dual<T>& x, double p) {
  if (p == 0) return Dual<T>(1);
  return {pow_of(x.v, p), p * (pow_of(x.v, p - 1) * x.d)};
}

template <typename T>
struct Edge {
  T x, y, z;
  int species;
};

template <typename T>
T length(const T& x, const T& y, const T& z) {
  using math::sqrt;
  using std::sqrt;
  return sqrt(x * x + y * y + z * z);
}

template <typename T>
T tanh_of(const T& x) {
  using math::exp;
  using std::exp;
  const T e = exp(2.0 * x);
  return (e - 1.0) / (1.0 + e);
}

// The cutoff functions as n2p2's documentation lists them; kinds are math::CutoffKind.
template <typename T>
T core(const T& x, int kind, double gamma) {
  using math::cos;
  using math::exp;
  using std::cos;
  using std::exp;
  if (kind == 15) return 0.5 * (1.0 + cos(3 * M_PI * x));
  if (kind >= 10) return core(T(x * (2.0 - x)), kind - 5, gamma);
  const T t = kind == 1 || kind == 4 ? tanh_of(T(1.0 - x)) : T(0);
  const double t0 = std::tanh(1.0);
  switch (kind) {
    case 0:
      return 0.5 * (1.0 + cos(M_PI * x));
    case 1:
      return t * t * t;
    case 2:
      return 1.0 + (gamma * pow_of(x, gamma + 1) - (gamma + 1) * pow_of(x, gamma));
    case 3:
      return T(1);
    case 4:
      return (1 / (t0 * t0 * t0)) * (t * t * t);
    case 5:
      return exp(1.0 - T(1) / (1.0 - x * x));
    case 6:
      return 1.0 + x * x * (2.0 * x - 3.0);
    case 7:
      return 1.0 + x * x * x * (x * (15.0 - 6.0 * x) - 10.0);
    case 8:
      return 1.0 + pow_of(x, 4) * (x * (x * (20.0 * x - 70.0) + T(84)) - 35.0);
    default:
      return 1.0 + pow_of(x, 5) * (x * (x * (x * (315.0 - 70.0 * x) - T(540)) + T(420)) - 126.0);
  }
}

template <typename T>
T window(const T& r, int kind, double low, double high) {
  const double mid = 0.5 * (low + high), half = 0.5 * (high - low), at = math::value(r);
  if (!(at > low && at < high)) return T(0);
  return core(T((at < mid ? -1.0 / half : 1.0 / half) * (r - mid)), kind, 4.0);
}

template <typename T>
T fc(const T& r, const FeatureRow& f) {
  if (f.type >= 5) return window(r, f.cutoff_function, f.low, f.cutoff);
  if (!(math::value(r) < f.cutoff)) return T(0);
  if (math::value(r) < f.inner * f.cutoff) return T(1);
  return core(T((1 / (f.cutoff - f.inner * f.cutoff)) * (r - f.inner * f.cutoff)), f.cutoff_function, f.gamma);
}

template <typename T>
T gauss(const T& r, const FeatureRow& f) {
  using math::cos;
  using math::exp;
  using std::cos;
  using std::exp;
  if (f.type >= 5) return T(1);
  if (f.type == 4) return cos(f.eta * r);
  return exp((-f.eta) * ((r - f.shift) * (r - f.shift)));
}

template <typename T>
T pair_term(const FeatureRow& f, const Edge<T>& j, const Edge<T>& k) {
  const T a = length(j.x, j.y, j.z), b = length(k.x, k.y, k.z), q = length(T(j.x - k.x), T(j.y - k.y), T(j.z - k.z));
  const T c = (j.x * k.x + j.y * k.y + j.z * k.z) / (a * b);
  const double factor = std::pow(2.0, 1 - f.zeta);
  if (f.type == 3) {
    using math::cos;
    using std::cos;
    const T angle = pow_of(T(1.0 + cos(T(acos_of(T(f.cos_scale * c)) - f.angle))), f.zeta);
    return factor * (angle * gauss(T(0.5 * (a + b)), f) * fc(a, f) * fc(b, f));
  }
  const int kind = f.cutoff_function < 10 ? f.cutoff_function : f.cutoff_function - 5;
  const T angle = f.type >= 5 ? window(acos_of(c), kind, f.theta_low, f.theta_high)
                              : T(factor * pow_of(T(1.0 + f.angle * c), f.zeta));
  const T wide = angle * gauss(a, f) * gauss(b, f) * fc(a, f) * fc(b, f);
  return f.type == 2 || f.type == 6 ? wide : wide * gauss(q, f) * fc(q, f);
}

// Weights of the two elements: vector 0 is their table in the plan, -1 stands for ones.
const std::vector<double> kWeights{1.0, 8.0};
double weight(const FeatureRow& f, int species) {
  return f.weights < 0 ? 1.0 : kWeights[static_cast<std::size_t>(species)];
}

bool is_radial(const FeatureRow& f) { return f.type == 0 || f.type == 4 || f.type == 7; }
bool matches(const FeatureRow& f, int s, int t) { return f.a < 0 || (std::min(s, t) == f.a && std::max(s, t) == f.b); }

template <typename T>
T textbook(const FeatureRow& f, const std::vector<Edge<T>>& edges) {
  T sum(0);
  for (std::size_t j = 0; j < edges.size(); ++j) {
    if (is_radial(f) && (f.a < 0 || edges[j].species == f.a)) {
      const T r = length(edges[j].x, edges[j].y, edges[j].z);
      sum = sum + weight(f, edges[j].species) * (gauss(r, f) * fc(r, f));
    }
    for (std::size_t k = j + 1; !is_radial(f) && k < edges.size(); ++k)
      if (matches(f, edges[j].species, edges[k].species))
        sum = sum + weight(f, edges[j].species) * weight(f, edges[k].species) * pair_term(f, edges[j], edges[k]);
  }
  return f.prefactor * sum;
}

std::vector<FeatureRow> all_functions() {
  std::vector<FeatureRow> rows;
  for (int s = 0; s < 2; ++s)
    for (double eta : {0.3, 1.7})
      for (double shift : {0.0, 1.1}) rows.push_back({0, s, -1, 0.25, eta, shift, 0, 0, 1, 5.0});
  for (int type : {1, 2})
    for (int a = 0; a < 2; ++a)
      for (int b = a; b < 2; ++b)
        for (double zeta : {1.0, 2.0, 4.0, 2.7})
          for (double lambda : {1.0, -1.0}) rows.push_back({type, a, b, 2.0, 0.07, 0.0, zeta, lambda, 1, 5.0});
  rows.push_back({1, 0, 1, 1.0, 0.2, 0.4, 3.0, 1.0, 1, 3.5});  // a second cutoff and a shift
  for (int a = 0; a < 2; ++a)
    for (int b = a; b < 2; ++b)
      for (double shift : {0.9, 1.6})
        for (double theta : {0.4, 2.1})
          for (double scale : {0.95, 1.0})
            rows.push_back({3, a, b, 1.0, 4.0, shift, scale < 1 ? 14.1 : 8.0, theta, scale, 3.5});
  for (int cutoff : {1, 2})  // the other cutoff functions, at a radius that others have and at one of their own
    for (double radius : {5.0, 4.1})
      for (double gamma : {4.0, 2.5}) {
        if (cutoff == 1 && gamma != 4.0) continue;
        rows.push_back({0, 1, -1, 0.25, 0.3, 1.1, 0, 0, 1, radius, cutoff, gamma});
        for (int type : {1, 2}) rows.push_back({type, 0, 1, 2.0, 0.07, 0.0, 2.0, 1.0, 1, radius, cutoff, gamma});
        rows.push_back({3, 1, 1, 1.0, 4.0, 0.9, 14.1, 0.4, 0.95, radius, cutoff, gamma});
      }
  for (double zeta : {0.6, 1.5})
    for (int type : {1, 2}) rows.push_back({type, 0, 1, 1.0, 0.07, 0.3, zeta, -0.8, 1, 5.0});
  return rows;
}

FeatureRow compact(int type, int a, int b, int kind, double low, double high, double theta_low, double theta_high) {
  FeatureRow row{type, a, b, 1.5, 0, 0, 0, 0, 1, high, kind};
  row.low = low, row.theta_low = theta_low, row.theta_high = theta_high;
  return row;
}

// Every cutoff function with an inner radius where it may have one, cosine waves and windows.
std::vector<FeatureRow> more_functions() {
  std::vector<FeatureRow> rows;
  for (int kind = 3; kind < math::kCutoffKinds; ++kind)
    for (double inner : {0.0, 0.4}) {
      if (inner > 0 && (kind < 5 || kind == 15)) continue;
      for (int type : {0, 4}) rows.push_back({type, 1, -1, 0.25, 0.7, 0.0, 0, 0, 1, 5.0, kind, 4.0, inner});
      for (int type : {1, 2, 3}) rows.push_back({type, 0, 1, 2.0, 0.07, 0.0, 2.0, 0.9, 0.95, 4.2, kind, 4.0, inner});
    }
  for (int kind : {0, 2})
    for (int type : {0, 1}) rows.push_back({type, 0, type - 1, 1.0, 0.1, 0.2, 1.0, 1.0, 1, 4.6, kind, 2.5, 0.3});
  for (const int kind : {0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}) {
    rows.push_back(compact(7, kind % 2, -1, kind, 0.7, 3.9, 0, 0));
    rows.push_back(compact(7, kind % 2, -1, kind, -4.0, 4.0, 0, 0));
    for (int type : {5, 6}) {
      rows.push_back(compact(type, 0, 1, kind, -4.4, 4.4, 0.6, 2.4));
      rows.push_back(compact(type, 1, 1, kind, 0.5, 4.4, 0.0, 1.9));
      rows.push_back(compact(type, 0, 1, kind, 0.5, 4.4, -1.9, 1.9));
      rows.push_back(compact(type, 0, 0, kind, 0.5, 4.4, M_PI - 2.2, M_PI + 2.2));
    }
  }
  return rows;
}

// One function of each type for every element, with weights and without.
std::vector<FeatureRow> weighted_functions() {
  std::vector<FeatureRow> rows{
      {0, -1, -1, 0.25, 0.3, 1.1, 0, 0, 1, 5.0},       {4, -1, -1, 0.25, 0.8, 0, 0, 0, 1, 5.0},
      {1, -1, -1, 2.0, 0.07, 0.1, 2.7, -1.0, 1, 5.0},  {2, -1, -1, 2.0, 0.07, 0.1, 4, 1, 1, 5.0},
      {3, -1, -1, 1.0, 4.0, 0.9, 8.0, 0.4, 0.95, 4.0}, compact(7, -1, -1, 7, 0.3, 4.0, 0, 0),
      compact(5, -1, -1, 7, 0.3, 4.0, 0.4, 2.8),       compact(6, -1, -1, 12, 0.3, 4.0, 0, 2.8)};
  for (std::size_t i = 0, n = rows.size(); i < n; ++i) {
    rows.push_back(rows[i]);
    rows.back().weights = 0;
    rows.push_back(rows[i]);  // and resolved, beside these
    rows.back().a = 0, rows.back().b = is_radial(rows[i]) ? -1 : 1;
  }
  return rows;
}

// Wide functions of whole exponents, for which sums over pairs of neighbours need not be taken where there are many.
std::vector<FeatureRow> wide_functions() {
  std::vector<FeatureRow> rows;
  for (const auto& pair : {std::array{-1, -1}, std::array{0, 0}, std::array{0, 1}, std::array{1, 1}})
    for (int weights = -1; weights < (pair[0] < 0 ? 1 : 0); ++weights)
      for (double shift : {0.0, 0.8})
        for (double zeta : {1.0, 2.0, 4.0})
          for (double lambda : {1.0, -0.7}) {
            rows.push_back({2, pair[0], pair[1], 1.0, 0.3, shift, zeta, lambda, 1, 3.0});
            rows.back().weights = weights;
          }
  return rows;
}

struct Case {
  const char* name;
  std::vector<double> D;
  std::vector<std::int32_t> species;
};

// Neighbours all around, few of them beyond the cutoff of wide_functions.
Case crowd() {
  std::mt19937 random(20262);
  std::uniform_real_distribution<double> u(-2.0, 2.0);
  Case many{"crowd", {}, {}};
  for (int i = 0; i < 43; ++i) {
    for (int k = 0; k < 3; ++k) many.D.push_back(u(random));
    many.species.push_back(i % 3 == 0);
  }
  return many;
}

std::vector<Case> cases() {
  std::mt19937 random(20261);
  std::uniform_real_distribution<double> u(-2.6, 2.6);
  Case cloud{"cloud", {}, {0, 1, 0, 1, 1, 0, 0}};
  for (int i = 0; i < 21; ++i) cloud.D.push_back(u(random));
  return {cloud,
          {"no neighbours", {}, {}},
          {"one neighbour", {0.3, -1.2, 0.4}, {1}},
          {"beyond every cutoff", {5.5, 0, 0, 0, 1, 0}, {0, 1}},
          {"at the cutoffs", {5.0, 0, 0, 0, 3.5, 0, 0.2, 0.1, 1.4}, {0, 1, 1}}};
}

// The kernels' results for one centre.
struct Kernel {
  explicit Kernel(const std::vector<FeatureRow>& rows, const Case& c)
      : plan(compile_features(rows, 2, kWeights)), D(c.D) {
    species.assign(1, 0);  // the centre
    species.insert(species.end(), c.species.begin(), c.species.end());
    for (std::size_t j = 0; j < c.species.size(); ++j) neighbor.push_back(static_cast<std::int64_t>(j) + 1);
    row_ptr = {0, static_cast<std::int64_t>(neighbor.size())};
  }
  Graph graph() const { return {row_ptr, neighbor, species}; }
  FeaturePlan plan;
  std::vector<double> D;
  std::vector<std::int32_t> species;
  std::vector<std::int64_t> neighbor, row_ptr;
};

std::vector<Edge<Second>> seeded(const Case& c, const std::vector<double>& v, std::size_t outer) {
  std::vector<Edge<Second>> edges;
  const auto at = [&](std::size_t i) {
    return Second{Dual<double>{c.D[i], v[i]}, Dual<double>{i == outer ? 1.0 : 0.0, 0.0}};
  };
  for (std::size_t j = 0; j < c.species.size(); ++j)
    edges.push_back({at(3 * j), at(3 * j + 1), at(3 * j + 2), c.species[j]});
  return edges;
}

void compare(const Case& c, const std::vector<FeatureRow>& rows) {
  const Kernel k(rows, c);
  const std::size_t K = rows.size(), n = c.D.size();
  std::mt19937 random(7);
  std::uniform_real_distribution<double> u(-1, 1);
  std::vector<double> g(K), v(n), G(K), dG(K), g_D(n), h(n);
  for (double& x : g) x = u(random);
  for (double& x : v) x = u(random);
  cpu::features<double>(k.plan.view(), k.graph(), k.D, G, 1);
  cpu::features_jvp<double>(k.plan.view(), k.graph(), k.D, v, dG, 1);
  cpu::features_vjp<double>(k.plan.view(), k.graph(), k.D, g, g_D, 1);
  cpu::features_hvp<double>(k.plan.view(), k.graph(), k.D, g, v, h, 1);

  std::vector<double> G_ref(K), dG_ref(K), g_D_ref(n), h_ref(n);
  for (std::size_t i = 0; i < std::max<std::size_t>(n, 1); ++i) {
    const auto edges = seeded(c, v, i);
    for (std::size_t f = 0; f < K; ++f) {
      const Second value = textbook(rows[f], edges);
      G_ref[f] = value.v.v;
      dG_ref[f] = value.v.d;
      if (n == 0) continue;
      g_D_ref[i] += g[f] * value.d.v;
      h_ref[i] += g[f] * value.d.d;
    }
  }
  check_close(c.name, "features", G, G_ref, kTolerance);
  check_close(c.name, "jvp", dG, dG_ref, kTolerance);
  check_close(c.name, "vjp", g_D, g_D_ref, kTolerance);
  check_close(c.name, "hvp", h, h_ref, kTolerance);
}

// At exactly 0 and 180 degrees: the smooth functions have their textbook derivatives, the clean ANI form those of its
// cosine part alone (its sine term counts as the constant 0).
void collinear() {
  for (double along : {1.9, -1.9})
    for (double tilt : {0.0, 0.37}) {  // along an axis, and rotated so that the cosine is 1 only to rounding
      const double c = std::cos(tilt), s = std::sin(tilt);
      const Case line{"collinear", {1.2 * c, 1.2 * s, 0, along * c, along * s, 0}, {0, 1}};
      std::vector<FeatureRow> smooth;
      for (double zeta : {1.0, 2.0, 4.0})
        for (double lambda : {1.0, -1.0})
          for (int type : {1, 2}) smooth.push_back({type, 0, 1, 1.0, 0.1, 0.0, zeta, lambda, 1, 5.0});
      for (double theta : {0.0, 0.4, 2.1, M_PI}) smooth.push_back({3, 0, 1, 1.0, 4.0, 1.4, 32.0, theta, 0.95, 3.5});
      compare(line, smooth);
      const std::vector<FeatureRow> clean{{3, 0, 1, 1.0, 4.0, 1.4, 32.0, 0.4, 1.0, 3.5}};
      const Kernel cone(clean, line);
      std::vector<double> g{1.0}, v{0.3, -0.2, 0.5, 0.1, 0.4, -0.6}, out(6), second(6);
      cpu::features_vjp<double>(cone.plan.view(), cone.graph(), cone.D, g, out, 1);
      cpu::features_hvp<double>(cone.plan.view(), cone.graph(), cone.D, g, v, second, 1);
      for (double x : out) check(std::isfinite(x), "clean ANI at 0 or 180 degrees: first derivative is not finite");
      for (double x : second) check(std::isfinite(x), "clean ANI at 0 or 180 degrees: second derivative is not finite");
      // no force across the axis
      check(std::abs(-s * out[0] + c * out[1]) < 1e-12 && std::abs(out[2]) < 1e-12, "clean ANI: force across the axis");
    }
}

// A distance is rounded as the source says, without multiply-adds, wherever it is compared with a cutoff: the classes
// of edges then fit the functions that write into their blocks.
void distances_at_the_cutoff() {
  std::mt19937 random(11);
  std::uniform_real_distribution<double> u(-2, 2);
  int wrong = 0;
  for (int i = 0; i < 200; ++i) {
    const Case c{"at the cutoff", {u(random), u(random), u(random)}, {0}};
    const volatile double xx = c.D[0] * c.D[0], yy = c.D[1] * c.D[1], zz = c.D[2] * c.D[2], xy = xx + yy;
    const double r = std::sqrt(xy + zz);
    for (const bool inside : {false, true}) {
      const Kernel k({{0, 0, -1, 1.0, 0.5, 0.0, 0, 0, 1, inside ? std::nextafter(r, 9.0) : r}}, c);
      std::int32_t edge_class = -1;
      std::vector<std::int64_t> row_offset(2);
      cpu::edge_classes<double>(k.plan.view(), k.graph(), k.D, {&edge_class, 1}, row_offset, 1);
      wrong += edge_class != (inside ? 0 : 1);
    }
  }
  check(wrong == 0, "distances are rounded twice where the source rounds twice");
}

bool accepted(const FeaturePlan& plan) {
  try {
    check_plan(plan.view());
  } catch (const Error& error) {
    return error.code() != ErrorCode::invalid_value;
  }
  return true;
}

void changed_plans_are_refused() {
  FeaturePlan plan = compile_features(weighted_functions(), 2, kWeights);
  check(accepted(plan), "a plan as compiled");
  int passed = 0;
  for (std::int32_t& x : plan.table) {
    ++x;
    passed += accepted(plan);
    --x;
  }
  for (double& x : plan.parameters) {
    const double good = x;
    x = std::nextafter(x, 99.0);
    passed += accepted(plan);
    x = good;
  }
  check(passed == 0, "a plan with one changed number is refused");
  check(accepted(plan), "and the unchanged one is not");
}

void sizes_beyond_32_bits_are_refused() {
  const std::vector<FeatureRow> rows{{0, 0, -1, 1.0, 0.5, 0.0, 0, 0, 1, 5.0}};
  for (const int n_species : {1 << 30, std::numeric_limits<int>::max()}) {
    bool refused = false;
    try {
      compile_features(rows, n_species);
    } catch (const Error& error) {
      refused = error.code() == ErrorCode::invalid_value;
    }
    check(refused, "a plan for " + std::to_string(n_species) + " species");
  }
}

void exponents_beyond_integers() {
  for (const double p : {65.0, 2147483648.0, 1e300}) {
    check(math::power(1.0, p) == 1.0, "1 to the power of " + std::to_string(p));
    check(math::power(0.5, p) == std::pow(0.5, p), "1/2 to the power of " + std::to_string(p));
  }
  check(math::power(0.5, 64.0) == std::pow(0.5, 64.0) && math::power(0.5, 1.0) == 0.5, "integer powers");
  check(math::power(0.25, 0.5) == 0.5, "powers below 1");
}

}  // namespace

int main() {
  for (const Case& c : cases())
    for (const auto& rows : {all_functions(), more_functions(), weighted_functions()}) compare(c, rows);
  compare(crowd(), wide_functions());
  collinear();
  distances_at_the_cutoff();
  changed_plans_are_refused();
  sizes_beyond_32_bits_are_refused();
  exponents_beyond_integers();
  return report();
}
