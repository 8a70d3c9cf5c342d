#include "src/gemm.hpp"

#include "src/isa.hpp"

namespace atomcore::cpu {

template <typename T>
PackedWeights<T>::PackedWeights(std::size_t inputs, std::size_t outputs)
    : inputs_(inputs), outputs_(outputs), panels_(panel_lines() * Lines<T>::padded(outputs)) {}

template <typename T>
PackedWeights<T>::PackedWeights(span<const T> weight, std::size_t outputs)
    : PackedWeights(weight.size() / outputs, outputs) {
  for (std::size_t o = 0; o < outputs_; ++o)
    for (std::size_t k = 0; k < inputs_; ++k) panels_.data()[position(o, k)] = weight[o * inputs_ + k];
}

template <typename T>
PackedWeights<T> PackedWeights<T>::of_inputs(span<const std::size_t> kept, span<const T> another) const {
  PackedWeights result(kept.size() + (another.empty() ? 0 : 1), outputs_);
  for (std::size_t o = 0; o < outputs_; ++o) {
    for (std::size_t k = 0; k < kept.size(); ++k) result.panels_.data()[result.position(o, k)] = (*this)(o, kept[k]);
    if (!another.empty()) result.panels_.data()[result.position(o, kept.size())] = another[o];
  }
  return result;
}

template <>
const DenseKernels<float>& dense_kernels() {
  return AC_PICK(kDenseFloat32);
}
template <>
const DenseKernels<double>& dense_kernels() {
  return AC_PICK(kDenseFloat64);
}

namespace {

template <typename T>
const DenseKernels<T>& either(const DenseKernels<float>& single, const DenseKernels<double>& twice) {
  if constexpr (sizeof(T) == 4)
    return single;
  else
    return twice;
}

}  // namespace

template <typename T>
std::vector<const DenseKernels<T>*> dense_kernel_variants() {
  std::vector<const DenseKernels<T>*> variants{&either<T>(portable::kDenseFloat32, portable::kDenseFloat64)};
#if AC_X86
  if (supported(Isa::avx2)) variants.push_back(&either<T>(avx2::kDenseFloat32, avx2::kDenseFloat64));
  if (supported(Isa::avx512)) variants.push_back(&either<T>(avx512::kDenseFloat32, avx512::kDenseFloat64));
#endif
  return variants;
}

template class PackedWeights<float>;
template class PackedWeights<double>;
template std::vector<const DenseKernels<float>*> dense_kernel_variants();
template std::vector<const DenseKernels<double>*> dense_kernel_variants();

}  // namespace atomcore::cpu
