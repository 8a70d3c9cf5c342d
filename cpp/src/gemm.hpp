// Small dense products with weights that are packed once: what networks need.
#pragma once

#include <cstddef>
#include <vector>

#include "atomcore/span.hpp"
#include "src/isa/dense.hpp"

namespace atomcore::cpu {

// Numbers in whole lines of 64 bytes.
template <typename T>
class Lines {
 public:
  static constexpr std::size_t width = 64 / sizeof(T);
  static constexpr std::size_t padded(std::size_t n) { return (n + width - 1) / width * width; }

  Lines() = default;
  explicit Lines(std::size_t n) { require(n); }
  // Makes room for n numbers at least; new ones are zero.
  void require(std::size_t n) {
    if (size() < n) lines_.resize(padded(n) / width, Line{});
  }
  T* data() { return reinterpret_cast<T*>(lines_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(lines_.data()); }
  std::size_t size() const { return lines_.size() * width; }

 private:
  struct alignas(64) Line {
    T values[width];
  };
  std::vector<Line> lines_;
};

// The weights of a layer in the panels of isa/dense.hpp.
template <typename T>
class PackedWeights {
 public:
  // weight [outputs, inputs], row-major
  PackedWeights(span<const T> weight, std::size_t outputs);

  std::size_t inputs() const { return inputs_; }
  std::size_t outputs() const { return outputs_; }
  T operator()(std::size_t output, std::size_t input) const { return panels_.data()[position(output, input)]; }
  PanelView<T> view() const {
    return {panels_.data(), inputs_, outputs_, Lines<T>::padded(inputs_), Lines<T>::padded(outputs_), panel_lines()};
  }
  // The weights of some inputs only and, unless it is empty, of one more behind them.
  PackedWeights of_inputs(span<const std::size_t> kept, span<const T> another) const;

 private:
  PackedWeights(std::size_t inputs, std::size_t outputs);
  // Odd, so that the same line of all panels does not fall into one set of the cache.
  std::size_t panel_lines() const { return Lines<T>::padded(inputs_) + 1; }
  std::size_t position(std::size_t output, std::size_t input) const {
    const std::size_t width = Lines<T>::width, panel = output / width;
    return (panel * panel_lines() + input) * width + output % width;
  }

  std::size_t inputs_, outputs_;
  Lines<T> panels_;
};

// The kernels of the active instruction set, and those of all that this processor has.
template <typename T>
const DenseKernels<T>& dense_kernels();
template <typename T>
std::vector<const DenseKernels<T>*> dense_kernel_variants();

}  // namespace atomcore::cpu
