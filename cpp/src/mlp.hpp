// A dense network with one output, evaluated for a batch of inputs together with the gradient in its input.
#pragma once

#include <memory>
#include <vector>

#include "atomcore/span.hpp"
#include "src/gemm.hpp"

namespace atomcore::cpu {

template <typename T>
class Mlp {
 public:
  // What an evaluation needs besides its arguments; one thread's, for any number of networks.
  struct Workspace {
    std::vector<Lines<T>> values, slopes;  // of the hidden layers
    Lines<T> output, output_slope;
    Lines<T> upper, lower;
  };

  // weight [outputs, inputs] row-major, bias [outputs]; layers are added first to last, the last has one output.
  void add_layer(span<const T> weight, span<const T> bias, Activation activation);
  std::size_t n_inputs() const { return hidden_.empty() ? n_output_weights_ : hidden_.front()->weights.inputs(); }

  // The same network where only the inputs `kept` (ascending) vary and the others stay at `values` [n_inputs]. What
  // these contribute to the first layer goes into its bias or, if they share a factor, becomes the weight of one more
  // input, which is that factor.
  Mlp of_inputs(span<const std::size_t> kept, span<const double> values, bool share_factor) const;

  // value [rows] = network(x); gradient = d value / dx unless it is null. Rows of x and gradient are whole lines, those
  // of x with zeros behind the last input.
  void evaluate(const T* x, std::size_t rows, T* value, T* gradient, Workspace& work) const;

  // Of the rows evaluated last, what the last of the hidden layers gave: rows of whole lines.
  const T* last_hidden(const Workspace& work) const { return work.values[hidden_.size() - 1].data(); }

 private:
  struct Layer {
    PackedWeights<T> weights;
    Lines<T> bias;
    Activation activation;
  };
  void activate_output(std::size_t rows, T* value, Workspace& work) const;
  void backward(std::size_t rows, T* gradient, Workspace& work) const;
  void set_output(span<const T> weight, T bias);

  std::vector<std::shared_ptr<const Layer>> hidden_;  // shared with networks of fewer inputs
  bool has_output_ = false;  // which may have no weights, as that of a single layer without inputs
  std::size_t n_output_weights_ = 0;
  Lines<T> output_;
  T output_bias_ = T(0);
  Activation output_activation_ = Activation::identity;
};

}  // namespace atomcore::cpu
