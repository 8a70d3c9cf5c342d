#include "src/cholesky.hpp"
#include "src/gemm.hpp"
#include "src/interrupt.hpp"
#include "src/isa.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr double kCached = 4e6;  // bytes of results that may stay in the caches for whoever reads them

template <typename T>
const SmallCholesky<T>& either(const SmallCholesky<float>& single, const SmallCholesky<double>& twice) {
  if constexpr (sizeof(T) == 4)
    return single;
  else
    return twice;
}

}  // namespace

template <>
const SmallCholesky<float>& small_cholesky() {
  return AC_PICK(kSmallCholeskyFloat32);
}
template <>
const SmallCholesky<double>& small_cholesky() {
  return AC_PICK(kSmallCholeskyFloat64);
}

template <typename T>
std::vector<const SmallCholesky<T>*> small_cholesky_variants() {
  std::vector variants{&either<T>(portable::kSmallCholeskyFloat32, portable::kSmallCholeskyFloat64)};
#if AC_X86
  if (supported(Isa::avx2)) variants.push_back(&either<T>(avx2::kSmallCholeskyFloat32, avx2::kSmallCholeskyFloat64));
  if (supported(Isa::avx512))
    variants.push_back(&either<T>(avx512::kSmallCholeskyFloat32, avx512::kSmallCholeskyFloat64));
#endif
  return variants;
}

template <typename T>
void batched_cholesky(const SmallTask<T>& task, std::int64_t count, int n_threads) {
  if (task.n == 0 || count == 0) return;
  const SmallCholesky<T>& kernels = small_cholesky<T>();
  const std::int64_t groups = (count + kernels.width - 1) / kernels.width, step = 32;
  const bool past_caches = static_cast<double>(count) * task.n * task.n * sizeof(T) > kCached;
  Interruptible interruptible;
  parallel_for(groups, n_threads, step, [&](std::int64_t begin, std::int64_t end) {
    Lines<T> workspace(kernels.workspace_size(task.n));
    for (std::int64_t g = begin; g < end; g += step) {
      interruptible.check();
      kernels.run(task, g * kernels.width, std::min(count, std::min(end, g + step) * kernels.width), past_caches,
                  workspace.data());
    }
  });
}

template std::vector<const SmallCholesky<float>*> small_cholesky_variants();
template std::vector<const SmallCholesky<double>*> small_cholesky_variants();
template void batched_cholesky(const SmallTask<float>&, std::int64_t, int);
template void batched_cholesky(const SmallTask<double>&, std::int64_t, int);

}  // namespace atomcore::cpu
