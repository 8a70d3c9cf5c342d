// A dense network with one output, evaluated for a batch of inputs together with the gradient in its input.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/gemm.hpp"

namespace atomcore {

enum class Activation { silu, tanh, relu, celu, sigmoid, softplus };

}  // namespace atomcore

namespace atomcore::cpu {

template <typename T>
class Mlp {
 public:
  explicit Mlp(Activation activation) : activation_(activation) {}

  // weight [outputs, inputs] row-major, bias [outputs]; layers are added first to last, the last has one output.
  void add_layer(span<const T> weight, span<const T> bias);
  std::int64_t n_inputs() const { return layers_.front().forward.rows(); }

  // value [rows] = network(x [rows, n_inputs]); gradient [rows, n_inputs] = d value / dx unless it is empty.
  void evaluate(span<const T> x, span<T> value, span<T> gradient) const;

 private:
  struct Layer {
    PackedMatrix<T> forward;   // W^T
    PackedMatrix<T> backward;  // W
    std::vector<T> bias;
  };
  void backward(std::int64_t rows, const std::vector<std::vector<T>>& slopes, span<T> gradient) const;

  Activation activation_;
  std::vector<Layer> layers_;
};

}  // namespace atomcore::cpu
