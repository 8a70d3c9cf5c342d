// What networks are made of: products in every instruction set, activations far out, and the checksum of model files.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "math/activations.hpp"
#include "src/gemm.hpp"
#include "src/sha256.hpp"

using namespace atomcore;

namespace {

template <typename T>
std::vector<T> random_values(std::size_t n, std::mt19937& random) {
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(n);
  for (T& x : values) x = static_cast<T>(uniform(random));
  return values;
}

template <typename T>
std::vector<double> plain_product(const std::vector<T>& X, const std::vector<T>& W, const std::vector<T>& bias, int m,
                                  int k, int n) {
  std::vector<double> Y;
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      auto sum = static_cast<double>(bias[static_cast<std::size_t>(j)]);
      for (int p = 0; p < k; ++p)
        sum += static_cast<double>(X[static_cast<std::size_t>(i * k + p)]) *
               static_cast<double>(W[static_cast<std::size_t>(j * k + p)]);
      Y.push_back(sum);
    }
  return Y;
}

// Y = X W^T + bias for sizes around those of registers and panels; a row alone must come out as in the batch, bit for
// bit.
template <typename T>
void products(const char* type, double tolerance) {
  std::mt19937 random(7);
  for (const int m : {1, 2, 7, 8, 9, 17})
    for (const int k : {0, 1, 5, 64})
      for (const int n : {1, 7, 8, 15, 16, 17, 33}) {
        const auto X = random_values<T>(static_cast<std::size_t>(m * k), random);
        const auto W = random_values<T>(static_cast<std::size_t>(n * k), random);
        const auto bias = random_values<T>(static_cast<std::size_t>(n), random);
        const cpu::PackedMatrix<T> packed(W.data(), k, n, 1, k);
        const auto expected = plain_product(X, W, bias, m, k, n);
        for (const auto variant : cpu::gemm_variants<T>()) {
          std::vector<T> Y(static_cast<std::size_t>(m * n)), row(static_cast<std::size_t>(n));
          variant(X.data(), m, packed, bias.data(), Y.data());
          check_close("gemm", type, {Y.begin(), Y.end()}, expected, tolerance);
          bool same = true;
          for (int i = 0; i < m; ++i) {
            variant(X.data() + i * k, 1, packed, bias.data(), row.data());
            same = same && std::equal(row.begin(), row.end(), Y.begin() + i * n);
          }
          check(same, "gemm: a row depends on the other rows");
        }
      }
}

// Value and derivative, relative to each, against long double.
template <typename T, typename Function, typename Value, typename Derivative>
void activation(const char* name, Function f, Value value, Derivative derivative, double tolerance) {
  for (const double at : {0.0, 1e-6, 0.1, 0.7, 1.0, 3.0, 8.0, 15.0, 30.0, 80.0})
    for (const double sign : {1.0, -1.0}) {
      const T x = static_cast<T>(sign * at);
      const math::Jet<T> y = f(x);
      const long double v = value(static_cast<long double>(x)), d = derivative(static_cast<long double>(x));
      const auto close = [&](T actual, long double exact) {
        return std::abs(static_cast<long double>(actual) - exact) <= tolerance * std::abs(exact) + 1e-37L;
      };
      check(close(y.f, v), name);
      check(close(y.d, d), name);
    }
  for (const T x : {T(1e4), T(-1e4), T(1e30), T(-1e30)})
    check(std::isfinite(f(x).f) && std::isfinite(f(x).d), "an activation is not finite far out");
  check(std::isnan(f(static_cast<T>(NAN)).f), "an activation hides a NaN");
}

template <typename T>
void activations(double tolerance) {
  using Real = long double;
  const auto logistic = [](Real x) { return 1 / (1 + std::exp(-x)); };
  activation<T>(
      "silu", [](T x) { return math::silu(x); }, [&](Real x) { return x * logistic(x); },
      [&](Real x) { return logistic(x) * (1 + x * logistic(-x)); }, tolerance);
  activation<T>(
      "tanh", [](T x) { return math::hyperbolic_tangent(x); }, [](Real x) { return std::tanh(x); },
      [](Real x) { return 1 / (std::cosh(x) * std::cosh(x)); }, tolerance);
  activation<T>(
      "relu", [](T x) { return math::relu(x); }, [](Real x) { return x > 0 ? x : 0; },
      [](Real x) { return x > 0 ? 1 : 0; }, tolerance);
  activation<T>(
      "celu", [](T x) { return math::celu(x); }, [](Real x) { return x > 0 ? x : std::expm1(x); },
      [](Real x) { return x > 0 ? 1 : std::exp(x); }, tolerance);
  activation<T>(
      "sigmoid", [](T x) { return math::sigmoid(x); }, logistic, [&](Real x) { return logistic(x) * logistic(-x); },
      tolerance);
  activation<T>(
      "softplus", [](T x) { return math::softplus(x); }, [](Real x) { return std::log1p(std::exp(x)); }, logistic,
      tolerance);
}

// FIPS 180-4 and NIST's examples.
void checksums() {
  const auto digest = [](const std::string& text) {
    const std::vector<std::uint8_t> bytes(text.begin(), text.end());
    return sha256(bytes);
  };
  check(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sha256 of nothing");
  check(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "sha256 of abc");
  check(digest(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        "sha256 of a million letters");
}

}  // namespace

int main() {
  products<float>("float", 1e-5);
  products<double>("double", 1e-14);
  activations<float>(1e-6);
  activations<double>(2e-15);
  checksums();
  return report();
}
