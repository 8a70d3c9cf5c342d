#include "src/element_kernels.hpp"

#include <algorithm>

namespace atomcore {

ElementKernels::ElementKernels(const AtomicKernelRecord& model)
    : n_columns_(static_cast<std::size_t>(model.plan.n_features())) {
  for (const KernelElementRecord& element : model.elements)
    elements_.push_back({{element.columns.begin(), element.columns.end()},
                         element.mean,
                         element.scale,
                         element.reference,
                         std::make_shared<const cpu::KernelExpansion>(element.sum)});
}

void ElementKernels::evaluate(std::size_t element, const double* G, std::size_t rows, double* energies,
                              double* gradient, bool /*each*/, Workspace& work) const {
  const Element& own = elements_[element];
  const std::size_t width = own.columns.size();
  work.x.resize(rows * width);
  work.g_x.resize(rows * width);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t k = 0; k < width; ++k)
      work.x[r * width + k] = (G[r * n_columns_ + own.columns[k]] - own.mean[k]) * own.scale[k];
  own.sum->evaluate(work.x.data(), rows, energies, gradient ? work.g_x.data() : nullptr, work.expansion);
  for (std::size_t r = 0; r < rows; ++r) energies[r] += own.reference;
  if (!gradient) return;
  std::fill_n(gradient, rows * n_columns_, 0.0);  // the columns that the kernel does not read
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t k = 0; k < width; ++k)
      gradient[r * n_columns_ + own.columns[k]] = work.g_x[r * width + k] * own.scale[k];
}

}  // namespace atomcore
