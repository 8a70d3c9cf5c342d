#include "src/mlp.hpp"

#include <algorithm>
#include <utility>

#include "math/activations.hpp"

namespace atomcore::cpu {
namespace {

// z becomes f(z), slope becomes f'(z)
template <typename T, typename Function>
void activate_with(Function f, std::vector<T>& z, std::vector<T>& slope) {
  for (std::size_t i = 0; i < z.size(); ++i) {
    const math::Jet<T> y = f(z[i]);
    z[i] = y.f;
    slope[i] = y.d;
  }
}

template <typename T>
void activate(Activation activation, std::vector<T>& z, std::vector<T>& slope) {
  switch (activation) {
    case Activation::silu:
      return activate_with([](T x) { return math::silu(x); }, z, slope);
    case Activation::tanh:
      return activate_with([](T x) { return math::hyperbolic_tangent(x); }, z, slope);
    case Activation::relu:
      return activate_with([](T x) { return math::relu(x); }, z, slope);
    case Activation::celu:
      return activate_with([](T x) { return math::celu(x); }, z, slope);
    case Activation::sigmoid:
      return activate_with([](T x) { return math::sigmoid(x); }, z, slope);
    case Activation::softplus:
      return activate_with([](T x) { return math::softplus(x); }, z, slope);
  }
}

}  // namespace

template <typename T>
void Mlp<T>::add_layer(span<const T> weight, span<const T> bias) {
  const auto outputs = static_cast<std::int64_t>(bias.size());
  const auto inputs = static_cast<std::int64_t>(weight.size()) / outputs;
  layers_.push_back({PackedMatrix<T>(weight.data(), inputs, outputs, 1, inputs),
                     PackedMatrix<T>(weight.data(), outputs, inputs, inputs, 1),
                     std::vector<T>(bias.begin(), bias.end())});
}

template <typename T>
void Mlp<T>::evaluate(span<const T> x, span<T> value, span<T> gradient) const {
  const auto rows = static_cast<std::int64_t>(value.size());
  std::vector<T> input, output;
  std::vector<std::vector<T>> slopes(layers_.size() - 1);
  for (std::size_t l = 0; l + 1 < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    output.resize(static_cast<std::size_t>(rows) * layer.bias.size());
    gemm(l == 0 ? x.data() : input.data(), rows, layer.forward, layer.bias.data(), output.data());
    slopes[l].resize(output.size());
    activate(activation_, output, slopes[l]);
    std::swap(input, output);
  }
  const Layer& last = layers_.back();
  gemm(layers_.size() == 1 ? x.data() : input.data(), rows, last.forward, last.bias.data(), value.data());
  if (!gradient.empty()) backward(rows, slopes, gradient);
}

template <typename T>
void Mlp<T>::backward(std::int64_t rows, const std::vector<std::vector<T>>& slopes, span<T> gradient) const {
  std::vector<T> upper(static_cast<std::size_t>(rows), T(1)), lower;
  for (std::size_t l = layers_.size() - 1; l > 0; --l) {
    const std::vector<T>& slope = slopes[l - 1];
    lower.resize(slope.size());
    gemm(upper.data(), rows, layers_[l].backward, static_cast<const T*>(nullptr), lower.data());
    for (std::size_t i = 0; i < slope.size(); ++i) lower[i] *= slope[i];
    std::swap(upper, lower);
  }
  gemm(upper.data(), rows, layers_[0].backward, static_cast<const T*>(nullptr), gradient.data());
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace atomcore::cpu
