#include "src/element_networks.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "src/error.hpp"

namespace atomcore {
namespace {

std::string scientific(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1e", x);
  return text;
}

// Where a feature varied by next to nothing in training, its scale is huge and its derivatives tiny. The engine meets
// both in T, which must hold them: a double that goes beyond would make forces of infinity times zero.
template <typename T>
void check_scales(const ElementRecord& element) {
  constexpr double largest = 0.01 * static_cast<double>(std::numeric_limits<T>::max());
  for (std::size_t k = 0; k < element.scale.size(); ++k) {
    const double scale = std::abs(element.scale[k]) * std::max(1.0, std::abs(element.energy_scale));
    if (!(scale <= largest))
      throw Error(ErrorCode::unsupported, "the model cannot run in " +
                                              std::string(sizeof(T) == 4 ? "single" : "double") +
                                              " precision: feature " + std::to_string(element.columns[k]) + " of " +
                                              element.symbol + " is multiplied by " + scientific(element.scale[k]));
  }
}

}  // namespace

template <typename T>
ElementNetworks<T>::ElementNetworks(const NetworkRecord& model)
    : n_columns_(static_cast<std::size_t>(model.plan.n_features())), normalized_(model.normalized) {
  for (const ElementRecord& record : model.elements) {
    check_scales<T>(record);
    Element element{{},
                    {record.columns.begin(), record.columns.end()},
                    record.mean,
                    record.scale,
                    record.scale,
                    record.reference,
                    record.energy_scale};
    for (double& scale : element.gradient_scale) scale *= record.energy_scale;
    for (const std::vector<LayerRecord>& layers : record.networks) {
      cpu::Mlp<T> network;
      for (const LayerRecord& layer : layers) {
        const std::vector<T> weight(layer.weight.begin(), layer.weight.end());
        const std::vector<T> bias(layer.bias.begin(), layer.bias.end());
        network.add_layer(weight, bias, layer.activation);
      }
      element.networks.push_back(std::move(network));
    }
    if (!record.grade.empty()) element.grade = grade_of(record);
    elements_.push_back(std::move(element));
  }
}

template <typename T>
std::shared_ptr<const typename ElementNetworks<T>::Grade> ElementNetworks<T>::grade_of(const ElementRecord& record) {
  const auto size = static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(record.grade.size()))));
  std::vector<double> weight;
  cpu::Lines<double> bias(size);
  for (std::size_t o = 0; o < size; ++o) {
    const double* const row = record.grade.data() + o * size;
    weight.insert(weight.end(), row, row + size - 1);
    bias.data()[o] = row[size - 1];
  }
  return std::make_shared<const Grade>(Grade{cpu::PackedWeights<double>(weight, size), std::move(bias)});
}

template <typename T>
ElementNetworks<T> ElementNetworks<T>::of_columns(span<const std::size_t> columns) const {
  ElementNetworks result;
  result.n_columns_ = columns.size();
  result.normalized_ = normalized_;
  for (const Element& element : elements_) result.elements_.push_back(of_columns(element, columns));
  return result;
}

// A network keeps its inputs that vary. Where inputs are divided by their length, all others are constants divided by
// it: together they are one more input, the inverse of the length.
template <typename T>
typename ElementNetworks<T>::Element ElementNetworks<T>::of_columns(const Element& element,
                                                                    span<const std::size_t> columns) const {
  Element result{{}, {}, {}, {}, {}, element.reference, element.energy_scale};
  std::vector<std::size_t> kept;
  std::vector<double> constants(element.columns.size());
  for (std::size_t k = 0; k < element.columns.size(); ++k) {
    const auto found = std::lower_bound(columns.begin(), columns.end(), element.columns[k]);
    if (found != columns.end() && *found == element.columns[k]) {
      kept.push_back(k);
      result.columns.push_back(static_cast<std::size_t>(found - columns.begin()));
      result.mean.push_back(element.mean[k]);
      result.scale.push_back(element.scale[k]);
      result.gradient_scale.push_back(element.gradient_scale[k]);
    } else {
      constants[k] = -element.mean[k] * element.scale[k];
      result.constant_square += constants[k] * constants[k];
    }
  }
  result.grade = element.grade;
  result.has_constants = kept.size() < element.columns.size();
  for (const cpu::Mlp<T>& network : element.networks)
    result.networks.push_back(result.has_constants ? network.of_inputs(kept, constants, normalized_) : network);
  return result;
}

// x = (G - mean) * scale, divided by its length where the model says so.
template <typename T>
void ElementNetworks<T>::load_inputs(const Element& element, const T* G, std::size_t rows, Workspace& work) const {
  const std::size_t width = element.columns.size(), stride = stride_of(element);
  work.x.require(rows * stride);
  work.columns.resize(width);
  std::fill_n(work.x.data(), rows * stride, T(0));
  for (std::size_t r = 0; r < rows; ++r) {
    const T* from = G + r * n_columns_;
    T* const x = work.x.data() + r * stride;
    if (width < n_columns_) {
      for (std::size_t k = 0; k < width; ++k) work.columns[k] = from[element.columns[k]];
      from = work.columns.data();
    }
    if (normalized_)
      load_normalized(element, from, x, work.inverse_length[r]);
    else
      cpu::dense_kernels<T>().standardize(from, element.mean.data(), element.scale.data(), width, x);
  }
}

// All in double, since a scaled feature need not be a number in T before it is divided.
template <typename T>
void ElementNetworks<T>::load_normalized(const Element& element, const T* from, T* x, double& inverse_length) const {
  const auto input = [&](std::size_t k) { return (static_cast<double>(from[k]) - element.mean[k]) * element.scale[k]; };
  const std::size_t width = element.columns.size();
  double square = element.constant_square;
  for (std::size_t k = 0; k < width; ++k) square += input(k) * input(k);
  inverse_length = square > 0.0 ? 1.0 / std::sqrt(square) : 1.0;
  for (std::size_t k = 0; k < width; ++k) x[k] = static_cast<T>(input(k) * inverse_length);
  if (element.has_constants) x[width] = static_cast<T>(inverse_length);
}

// dE/dG of a row from the gradient in its inputs.
template <typename T>
void ElementNetworks<T>::store_gradient(const Element& element, const T* x, const T* g_x, double inverse_length,
                                        T* gradient, Workspace& work) const {
  const std::size_t width = element.columns.size();
  T* const out = width < n_columns_ ? work.columns.data() : gradient;
  if (normalized_) {
    double along = 0.0;  // of the gradient to the input, which a division by the length takes out
    for (std::size_t k = 0; k < stride_of(element); ++k)
      along += static_cast<double>(g_x[k]) * static_cast<double>(x[k]);
    for (std::size_t k = 0; k < width; ++k)
      out[k] = static_cast<T>((static_cast<double>(g_x[k]) - along * static_cast<double>(x[k])) * inverse_length *
                              element.gradient_scale[k]);
  } else {
    cpu::dense_kernels<T>().scale(g_x, element.gradient_scale.data(), width, out);
  }
  if (out == gradient) return;
  std::fill_n(gradient, n_columns_, T(0));  // the columns that the network does not read
  for (std::size_t k = 0; k < width; ++k) gradient[element.columns[k]] = out[k];
}

template <typename T>
void ElementNetworks<T>::store_gradients(const Element& element, std::size_t rows, const T* g_x, T* gradient,
                                         Workspace& work) const {
  const std::size_t stride = stride_of(element);
  for (std::size_t r = 0; r < rows; ++r)
    store_gradient(element, work.x.data() + r * stride, g_x + r * stride, work.inverse_length[r],
                   gradient + r * n_columns_, work);
}

template <typename T>
void ElementNetworks<T>::evaluate(std::size_t element, const T* G, std::size_t rows, double* energies, T* gradient,
                                  bool each, Workspace& work) const {
  const Element& own = elements_[element];
  const std::size_t size = rows * stride_of(own);
  work.inverse_length.resize(rows);
  load_inputs(own, G, rows, work);
  work.value.resize(rows);
  if (gradient) work.g_x.require(size), work.mean_g_x.require(size);
  for (std::size_t m = 0; m < members(); ++m) {
    T* const g_x = m == 0 ? work.mean_g_x.data() : work.g_x.data();
    own.networks[m].evaluate(work.x.data(), rows, work.value.data(), gradient ? g_x : nullptr, work.layers);
    for (std::size_t r = 0; r < rows; ++r)
      energies[m * rows + r] = own.reference + own.energy_scale * static_cast<double>(work.value[r]);
    if (!gradient) continue;
    if (each) store_gradients(own, rows, g_x, gradient + (1 + m) * rows * n_columns_, work);
    if (m > 0) std::transform(g_x, g_x + size, work.mean_g_x.data(), work.mean_g_x.data(), std::plus<T>());
  }
  if (!gradient) return;
  if (members() > 1)
    std::for_each(work.mean_g_x.data(), work.mean_g_x.data() + size, [&](T& x) { x /= static_cast<T>(members()); });
  store_gradients(own, rows, work.mean_g_x.data(), gradient, work);
}

// In double: entries of the matrix are large where training atoms hardly differ.
template <typename T>
void ElementNetworks<T>::grade(std::size_t element, std::size_t rows, double* grades, Workspace& work) const {
  const cpu::DenseKernels<double>& kernels = cpu::dense_kernels<double>();
  const Element& own = elements_[element];
  const cpu::PanelView<double> W = own.grade->weights.view();
  const T* const phi = own.networks.front().last_hidden(work.layers);
  work.phi.require(rows * W.input_stride);
  work.graded.require(rows * W.output_stride);
  for (std::size_t r = 0; r < rows; ++r)
    std::copy_n(phi + r * cpu::Lines<T>::padded(W.inputs), W.inputs, work.phi.data() + r * W.input_stride);
  kernels.forward(work.phi.data(), rows, W, own.grade->bias.data(), work.graded.data());
  for (std::size_t r = 0; r < rows; ++r) {
    const double* const row = work.graded.data() + r * W.output_stride;
    grades[r] = std::sqrt(kernels.dot(row, row, W.output_stride));
  }
}

template class ElementNetworks<float>;
template class ElementNetworks<double>;

}  // namespace atomcore
