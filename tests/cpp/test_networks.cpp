// What networks are made of: products in every instruction set, activations far out, and the checksum of model files.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "math/activations.hpp"
#include "math/dual.hpp"
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

template <typename T>
cpu::Lines<T> padded_rows(const std::vector<T>& values, std::size_t rows) {
  const std::size_t n = rows == 0 ? 0 : values.size() / rows, stride = cpu::Lines<T>::padded(n);
  cpu::Lines<T> result(rows * stride);
  for (std::size_t r = 0; r < rows; ++r)
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * n), n, result.data() + r * stride);
  return result;
}

template <typename T>
std::vector<double> plain_rows(const cpu::Lines<T>& lines, std::size_t rows, std::size_t n) {
  std::vector<double> values;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t k = 0; k < n; ++k)
      values.push_back(static_cast<double>(lines.data()[r * cpu::Lines<T>::padded(n) + k]));
  return values;
}

// One product of a matrix of m rows, in which a row alone must come out as in the batch, bit for bit, and the zeros
// behind the rows must stay.
template <typename T, typename Product>
void product(const char* name, const std::vector<T>& X, std::size_t m, std::size_t n_out, const Product& run,
             const std::vector<double>& expected, double tolerance) {
  const std::size_t stride_in = cpu::Lines<T>::padded(X.size() / m), stride_out = cpu::Lines<T>::padded(n_out);
  const cpu::Lines<T> x = padded_rows(X, m);
  cpu::Lines<T> y(m * stride_out), row(stride_out);
  run(x.data(), m, y.data());
  check_close(name, sizeof(T) == 4 ? "float" : "double", plain_rows(y, m, n_out), expected, tolerance);
  bool same = true, zeros = true;
  for (std::size_t r = 0; r < m; ++r) {
    run(x.data() + r * stride_in, 1, row.data());
    same = same && std::equal(row.data(), row.data() + stride_out, y.data() + r * stride_out);
    for (std::size_t k = n_out; k < stride_out; ++k) zeros = zeros && y.data()[r * stride_out + k] == T(0);
  }
  check(same, "a row of a product depends on the other rows");
  check(zeros, "a product leaves numbers behind its rows");
}

// Y = X W^T + bias and X = Y W for sizes around those of registers, tiles and panels, in every instruction set.
template <typename T>
void products(double tolerance) {
  std::mt19937 random(7);
  for (const std::size_t m : {1u, 2u, 4u, 5u, 8u, 9u, 17u})
    for (const std::size_t k : {1u, 5u, 16u, 64u})
      for (const std::size_t n : {2u, 7u, 16u, 17u, 33u, 50u, 144u}) {
        const auto X = random_values<T>(m * k, random), Y = random_values<T>(m * n, random);
        const auto W = random_values<T>(n * k, random), bias = random_values<T>(n, random);
        const cpu::PackedWeights<T> packed(W, n);
        const cpu::Lines<T> start = padded_rows(bias, 1);
        std::vector<T> transposed(k * n);
        for (std::size_t o = 0; o < n; ++o)
          for (std::size_t i = 0; i < k; ++i) transposed[i * n + o] = W[o * k + i];
        const std::vector<T> nothing(k);
        const auto sizes = [](std::size_t size) { return static_cast<int>(size); };
        const auto forward = plain_product(X, W, bias, sizes(m), sizes(k), sizes(n));
        const auto backward = plain_product(Y, transposed, nothing, sizes(m), sizes(n), sizes(k));
        for (const cpu::DenseKernels<T>* kernels : cpu::dense_kernel_variants<T>()) {
          product<T>(
              "forward", X, m, n,
              [&](const T* x, std::size_t rows, T* y) { kernels->forward(x, rows, packed.view(), start.data(), y); },
              forward, tolerance);
          product<T>(
              "backward", Y, m, k,
              [&](const T* g, std::size_t rows, T* g_x) { kernels->backward(g, rows, packed.view(), g_x); }, backward,
              tolerance);
        }
      }
}

// Value and derivative, relative to each, against long double, in every instruction set; finite up to `reach`.
template <typename T, typename Value, typename Derivative>
void activation(const char* name, Activation f, Value value, Derivative derivative, double tolerance,
                double reach = 1e30) {
  std::vector<T> points;
  for (const double at : {0.0, 1e-6, 0.1, 0.7, 1.0, 3.0, 8.0, 15.0, 30.0, 80.0, 1e4, 1e30})
    for (const double sign : {1.0, -1.0}) points.push_back(static_cast<T>(sign * at));
  points.push_back(static_cast<T>(NAN));
  for (const cpu::DenseKernels<T>* kernels : cpu::dense_kernel_variants<T>()) {
    cpu::Lines<T> y = padded_rows(points, 1), slope(points.size());
    kernels->activate(f, y.data(), slope.data(), y.size());
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      const auto x = static_cast<long double>(points[i]);
      if (std::abs(x) > reach) continue;
      check(std::isfinite(y.data()[i]) && std::isfinite(slope.data()[i]), name);
      if (std::abs(x) > 100) continue;
      const auto close = [&](T actual, long double exact) {
        return std::abs(static_cast<long double>(actual) - exact) <= tolerance * std::abs(exact) + 1e-37L;
      };
      check(close(y.data()[i], value(x)), name);
      check(close(slope.data()[i], derivative(x)), name);
    }
    check(std::isnan(y.data()[points.size() - 1]), "an activation hides a NaN");
  }
}

template <typename T>
void activations(double tolerance) {
  using Real = long double;
  const auto logistic = [](Real x) { return 1 / (1 + std::exp(-x)); };
  activation<T>(
      "silu", Activation::silu, [&](Real x) { return x * logistic(x); },
      [&](Real x) { return logistic(x) * (1 + x * logistic(-x)); }, tolerance);
  activation<T>(
      "tanh", Activation::tanh, [](Real x) { return std::tanh(x); },
      [](Real x) { return 1 / (std::cosh(x) * std::cosh(x)); }, tolerance);
  activation<T>(
      "relu", Activation::relu, [](Real x) { return x > 0 ? x : 0; }, [](Real x) { return x > 0 ? 1 : 0; }, tolerance);
  activation<T>(
      "celu", Activation::celu, [](Real x) { return x > 0 ? x : std::expm1(x); },
      [](Real x) { return x > 0 ? 1 : std::exp(x); }, tolerance);
  activation<T>(
      "sigmoid", Activation::sigmoid, logistic, [&](Real x) { return logistic(x) * logistic(-x); }, tolerance);
  activation<T>("softplus", Activation::softplus, [](Real x) { return std::log1p(std::exp(x)); }, logistic, tolerance);
  activation<T>("identity", Activation::identity, [](Real x) { return x; }, [](Real) { return 1; }, tolerance);
  activation<T>(
      "gaussian", Activation::gaussian, [](Real x) { return std::exp(-x * x / 2); },
      [](Real x) { return -x * std::exp(-x * x / 2); }, tolerance);
  activation<T>(
      "cosine", Activation::cosine, [](Real x) { return std::cos(x); }, [](Real x) { return -std::sin(x); }, tolerance,
      100);
  activation<T>(
      "exponential", Activation::exponential, [](Real x) { return std::exp(-x); }, [](Real x) { return -std::exp(-x); },
      tolerance, 100);
  activation<T>(
      "square", Activation::square, [](Real x) { return x * x; }, [](Real x) { return 2 * x; }, tolerance, 1e4);
}

// A cosine of what has no accurate remainder is no number, and what grows beyond all numbers says so.
template <typename T>
void out_of_reach() {
  for (const cpu::DenseKernels<T>* kernels : cpu::dense_kernel_variants<T>())
    for (const Activation f : {Activation::cosine, Activation::exponential, Activation::square}) {
      cpu::Lines<T> y = padded_rows(std::vector<T>{-std::numeric_limits<T>::max()}, 1), slope(1);
      kernels->activate(f, y.data(), slope.data(), y.size());
      check(!std::isfinite(y.data()[0]), "an activation is finite where it cannot be");
      check(f != Activation::cosine || (std::isnan(y.data()[0]) && std::isnan(slope.data()[0])), "a cosine is guessed");
    }
}

// The slopes that are written out against dual numbers.
void slopes() {
  using Dual = math::Dual<double>;
  for (double x = -6; x < 6; x += 0.37)
    for (const auto& [name, f] : {std::pair{"identity", &math::identity<Dual>},
                                  {"gaussian", &math::unit_gaussian<Dual>},
                                  {"cosine", &math::cosine<Dual>},
                                  {"exponential", &math::falling_exponential<Dual>},
                                  {"square", &math::square<Dual>}}) {
      const math::Jet<Dual> y = f(Dual(x, 1.0));
      check_close(name, "slope", {y.f.d}, {y.d.v}, 1e-13);
    }
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
  products<float>(1e-5);
  products<double>(1e-14);
  activations<float>(1e-6);
  activations<double>(2e-15);
  out_of_reach<float>();
  out_of_reach<double>();
  slopes();
  checksums();
  return report();
}
