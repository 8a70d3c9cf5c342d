#include <optional>
#include <utility>

#include "bindings.hpp"
#include "src/covariance.hpp"
#include "src/kernel_expansion.hpp"
#include "src/structure_descriptor.hpp"

namespace {

using namespace atomcore;

// Kernels and points as atomcore.kernels hands them over, which has checked them; the arrays stay its own.
cpu::ScaledKernel kernel_of(int kind, double a, double b, double variance, const Array<double>& scales) {
  return {{kind, a, b, variance}, static_cast<std::size_t>(scales.size()), scales.data()};
}

struct Points {
  Array<double> x;
  std::optional<Array<std::int32_t>> elements;
  Array<std::int64_t> structure_ptr;
  std::optional<Array<std::int64_t>> gradient_ptr;
  std::vector<std::optional<Array<double>>> jacobians;
  cpu::PointSet set;
};

Points points_of(const Array<double>& x, const std::optional<Array<std::int32_t>>& elements,
                 const Array<std::int64_t>& structure_ptr, const std::optional<Array<std::int64_t>>& gradient_ptr,
                 const std::vector<std::optional<Array<double>>>& jacobians) {
  Points points{x, elements, structure_ptr, gradient_ptr, jacobians, {}};
  std::vector<const double*> blocks;
  for (const auto& block : jacobians) blocks.push_back(block ? block->data() : nullptr);
  points.set = {static_cast<std::size_t>(x.shape(0)),
                static_cast<std::size_t>(structure_ptr.size() - 1),
                x.data(),
                elements ? elements->data() : nullptr,
                structure_ptr.data(),
                std::move(blocks),
                gradient_ptr ? gradient_ptr->data() : nullptr};
  return points;
}

const cpu::PointSet* set_of(const Points* points) { return points == nullptr ? nullptr : &points->set; }

void covariance(const cpu::ScaledKernel& kernel, const Points& A, const cpu::Observed& rows, const Points* B,
                const cpu::Observed& columns, Array<double>& out, int n_threads) {
  double* const to = out.mutable_data();
  py::gil_scoped_release release;
  cpu::covariance(kernel, A.set, rows, set_of(B), columns, to, n_threads);
}

Array<double> covariance_diagonal(const cpu::ScaledKernel& kernel, const Points& A, const cpu::Observed& rows,
                                  int n_threads) {
  Array<double> out(static_cast<py::ssize_t>(rows.size(A.set)));
  double* const to = out.mutable_data();
  py::gil_scoped_release release;
  cpu::covariance_diagonal(kernel, A.set, rows, to, n_threads);
  return out;
}

py::tuple gradient_of_trace(const cpu::ScaledKernel& kernel, const Points& A, const cpu::Observed& rows,
                            const Points* B, const cpu::Observed& columns, const Array<double>& W, bool one_scale,
                            int n_threads) {
  cpu::TraceGradient found;
  {
    py::gil_scoped_release release;
    found = cpu::gradient_of_trace(kernel, A.set, rows, set_of(B), columns, W.data(), one_scale, n_threads);
  }
  const auto n = static_cast<py::ssize_t>(found.scales.size());
  return py::make_tuple(found.variance, to_array(std::move(found.scales), {n}), found.shape);
}

// numbers [N], positions [N, 3] -> x [K] and J [K, N, 3], or None
py::tuple structure_descriptor(int kind, std::size_t n_atoms, double exponent, double length_unit,
                               const Array<std::int32_t>& numbers, const Array<double>& positions, bool jacobian) {
  const DescriptorRecord record{static_cast<DescriptorKind>(kind), n_atoms, exponent, length_unit};
  const StructureDescriptor descriptor(record, view(numbers), view(positions));
  std::vector<double> x = descriptor.values();
  const auto K = static_cast<py::ssize_t>(x.size());
  py::object J = py::none();
  if (jacobian) {
    auto values = new_array<double>({K, numbers.size(), 3});
    descriptor.jacobian(values.mutable_data());
    J = std::move(values);
  }
  return py::make_tuple(to_array(std::move(x), {K}), J);
}

}  // namespace

void bind_kernels(py::module_& m) {
  py::class_<cpu::ScaledKernel>(m, "ScaledKernel")  // keeps the array that it is given, and so none made from it
      .def(py::init(&kernel_of), py::arg(), py::arg(), py::arg(), py::arg(), py::arg().noconvert(),
           py::keep_alive<1, 6>());
  py::class_<Points>(m, "PointSet").def(py::init(&points_of));
  py::class_<cpu::Observed>(m, "Observed").def(py::init<bool, bool>());
  m.attr("kernel_kinds") = py::tuple(py::cast(kKernelNames));
  m.attr("descriptor_kinds") = py::tuple(py::cast(kDescriptorNames));
  m.def("structure_descriptor", &structure_descriptor, py::arg(), py::arg(), py::arg(), py::arg(),
        py::arg().noconvert(), py::arg().noconvert(), py::arg());
  m.def("covariance", &covariance, py::arg(), py::arg(), py::arg(), py::arg().none(true), py::arg(),
        py::arg().noconvert(), py::arg());
  m.def("covariance_diagonal", &covariance_diagonal);
  m.def("gradient_of_trace", &gradient_of_trace, py::arg(), py::arg(), py::arg(), py::arg().none(true), py::arg(),
        py::arg().noconvert(), py::arg(), py::arg());
}
