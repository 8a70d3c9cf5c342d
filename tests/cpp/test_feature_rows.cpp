// The workspace of feature rows: what an earlier centre left there does not show, and grows with what is loaded.
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"
#include "src/feature_rows.hpp"

using namespace atomcore;

namespace {

struct Row {
  std::vector<double> D;
  std::vector<std::int32_t> species;
  std::size_t n() const { return species.size(); }
};

Row random_row(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-2.5, 2.5);
  Row row;
  for (std::size_t i = 0; i < 3 * n; ++i) row.D.push_back(uniform(random));
  for (std::size_t i = 0; i < n; ++i) row.species.push_back(static_cast<std::int32_t>(random() % 2));
  return row;
}

FeaturePlan every_kind() {
  std::vector<FeatureRow> rows;
  for (std::int32_t a = 0; a < 2; ++a) {
    rows.push_back({0, a, -1, 1.0, 0.7, 0.9, 0, 0, 1, 4.0});
    for (std::int32_t b = a; b < 2; ++b) {
      rows.push_back({1, a, b, 1.0, 0.1, 0.0, 2, 1, 1, 4.0});
      rows.push_back({1, a, b, 1.0, 0.1, 0.4, 1.5, -1, 1, 3.5});
      rows.push_back({2, a, b, 1.0, 0.2, 0.5, 2, -1, 1, 4.0});    // moments
      rows.push_back({2, a, b, 1.0, 0.2, 0.5, 2.5, -1, 1, 3.0});  // triplets
      rows.push_back({3, a, b, 1.0, 4.0, 1.0, 14.1, 0.4, 0.95, 3.5});
    }
  }
  return compile_features(rows, 2);
}

struct Result {
  std::vector<double> G, g_D;
};

Result evaluate(cpu::FeatureRows<double>& rows, const Row& row, std::size_t n_features, std::size_t count) {
  Result result{std::vector<double>(n_features), std::vector<double>(count * row.D.size())};
  std::vector<double> g(count * n_features);
  for (std::size_t k = 0; k < g.size(); ++k) g[k] = std::sin(static_cast<double>(k));
  rows.load(row.D.data(), row.species.data(), row.n());
  rows.forward(result.G.data());
  rows.adjoint(g.data(), count, n_features, result.g_D.data());
  return result;
}

}  // namespace

int main() {
  const FeaturePlan plan = every_kind();
  const cpu::PreparedPlan<double> prepared(plan.view());
  const auto n_features = static_cast<std::size_t>(plan.n_features());
  for (const std::size_t n : {0, 1, 2, 7, 8, 9, 15, 16, 17, 40, 100}) {
    const Row row = random_row(n, static_cast<unsigned>(n) + 1);
    cpu::FeatureRows<double> fresh(prepared), used(prepared);
    Row spoilt = random_row(120, 5);
    for (double& x : spoilt.D) x = std::numeric_limits<double>::quiet_NaN();
    evaluate(used, spoilt, n_features, 3);
    for (const std::size_t count : {1, 3}) {
      const Result a = evaluate(fresh, row, n_features, count), b = evaluate(used, row, n_features, count);
      const auto finite = [](const std::vector<double>& x) {
        return std::all_of(x.begin(), x.end(), [](double y) { return std::isfinite(y); });
      };
      const std::string name = std::to_string(n) + " neighbours, " + std::to_string(count) + " cotangents: ";
      check(finite(a.G) && finite(a.g_D), name + "finite");
      check(a.G == b.G && a.g_D == b.g_D, name + "the same, bit for bit, after a row of NaN");
    }
  }
  return report();
}
