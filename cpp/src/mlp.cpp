#include "src/mlp.hpp"

#include <algorithm>
#include <utility>

namespace atomcore::cpu {
namespace {

template <typename T>
Lines<T> in_lines(span<const T> values) {
  Lines<T> lines(values.size());
  std::copy(values.begin(), values.end(), lines.data());
  return lines;
}

std::vector<bool> left_out(std::size_t n, span<const std::size_t> kept) {
  std::vector<bool> left(n, true);
  for (const std::size_t k : kept) left[k] = false;
  return left;
}

}  // namespace

template <typename T>
void Mlp<T>::set_output(span<const T> weight, T bias) {
  has_output_ = true;
  output_ = in_lines(weight);
  n_output_weights_ = weight.size();
  output_bias_ = bias;
}

template <typename T>
void Mlp<T>::add_layer(span<const T> weight, span<const T> bias, Activation activation) {
  if (has_output_) {  // what was last so far is hidden now
    const span<const T> own(output_.data(), n_output_weights_);
    hidden_.push_back(std::make_shared<const Layer>(
        Layer{PackedWeights<T>(own, 1), in_lines(span<const T>(&output_bias_, 1)), output_activation_}));
    has_output_ = false;
    n_output_weights_ = 0;
  }
  if (bias.size() == 1) {
    set_output(weight, bias[0]);
    output_activation_ = activation;
  } else {
    hidden_.push_back(
        std::make_shared<const Layer>(Layer{PackedWeights<T>(weight, bias.size()), in_lines(bias), activation}));
  }
}

template <typename T>
Mlp<T> Mlp<T>::of_inputs(span<const std::size_t> kept, span<const double> values, bool share_factor) const {
  const std::vector<bool> left = left_out(n_inputs(), kept);
  const auto contribution = [&](const auto& weight_of) {
    double sum = 0.0;
    for (std::size_t k = 0; k < left.size(); ++k)
      if (left[k]) sum += static_cast<double>(weight_of(k)) * values[k];
    return sum;
  };
  Mlp result(*this);
  if (hidden_.empty()) {
    std::vector<T> weight;
    for (const std::size_t k : kept) weight.push_back(output_.data()[k]);
    const double sum = contribution([&](std::size_t k) { return output_.data()[k]; });
    if (share_factor) weight.push_back(static_cast<T>(sum));
    result.set_output(weight, share_factor ? output_bias_ : static_cast<T>(static_cast<double>(output_bias_) + sum));
    return result;
  }
  const Layer& first = *hidden_.front();
  std::vector<T> sums;
  Lines<T> bias = first.bias;
  for (std::size_t o = 0; o < first.weights.outputs(); ++o) {
    const double sum = contribution([&](std::size_t k) { return first.weights(o, k); });
    if (share_factor)
      sums.push_back(static_cast<T>(sum));
    else
      bias.data()[o] = static_cast<T>(static_cast<double>(bias.data()[o]) + sum);
  }
  result.hidden_.front() =
      std::make_shared<const Layer>(Layer{first.weights.of_inputs(kept, sums), std::move(bias), first.activation});
  return result;
}

template <typename T>
void Mlp<T>::evaluate(const T* x, std::size_t rows, T* value, T* gradient, Workspace& work) const {
  const DenseKernels<T>& kernels = dense_kernels<T>();
  if (work.values.size() < hidden_.size()) work.values.resize(hidden_.size()), work.slopes.resize(hidden_.size());
  for (std::size_t l = 0; l < hidden_.size(); ++l) {
    const PanelView<T> W = hidden_[l]->weights.view();
    work.values[l].require(rows * W.output_stride);
    work.slopes[l].require(rows * W.output_stride);
    kernels.forward(x, rows, W, hidden_[l]->bias.data(), work.values[l].data());
    kernels.activate(hidden_[l]->activation, work.values[l].data(), work.slopes[l].data(), rows * W.output_stride);
    x = work.values[l].data();
  }
  for (std::size_t r = 0; r < rows; ++r)
    value[r] = output_bias_ + kernels.dot(x + r * output_.size(), output_.data(), output_.size());
  if (output_activation_ != Activation::identity) activate_output(rows, value, work);
  if (gradient) backward(rows, gradient, work);
}

template <typename T>
void Mlp<T>::activate_output(std::size_t rows, T* value, Workspace& work) const {
  const std::size_t size = Lines<T>::padded(rows);
  work.output.require(size);
  work.output_slope.require(size);
  std::copy_n(value, rows, work.output.data());
  dense_kernels<T>().activate(output_activation_, work.output.data(), work.output_slope.data(), size);
  std::copy_n(work.output.data(), rows, value);
}

template <typename T>
void Mlp<T>::backward(std::size_t rows, T* gradient, Workspace& work) const {
  const DenseKernels<T>& kernels = dense_kernels<T>();
  const std::size_t width = output_.size();
  work.upper.require(rows * width);
  T* upper = hidden_.empty() ? gradient : work.upper.data();
  for (std::size_t r = 0; r < rows; ++r) std::copy_n(output_.data(), width, upper + r * width);
  if (output_activation_ != Activation::identity)
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t k = 0; k < width; ++k) upper[r * width + k] *= work.output_slope.data()[r];
  for (std::size_t l = hidden_.size(); l > 0; --l) {
    const PanelView<T> W = hidden_[l - 1]->weights.view();
    kernels.multiply(work.slopes[l - 1].data(), upper, rows * W.output_stride);
    if (l > 1) work.lower.require(rows * W.input_stride);
    T* const lower = l > 1 ? work.lower.data() : gradient;
    kernels.backward(upper, rows, W, lower);
    std::swap(work.upper, work.lower);
    upper = lower;
  }
}

template class Mlp<float>;
template class Mlp<double>;

}  // namespace atomcore::cpu
