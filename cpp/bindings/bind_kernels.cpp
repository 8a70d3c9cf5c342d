#include <optional>
#include <utility>

#include "bindings.hpp"
#include "src/kernel_matrix.hpp"

namespace {

using namespace atomcore;

cpu::KernelFunction function_of(int kind, const std::pair<double, double>& parameters, double variance) {
  return {kind, parameters.first, parameters.second, variance};
}

cpu::PointRows rows_of(const Array<double>& X) { return {X.data(), static_cast<std::size_t>(X.shape(0))}; }

void kernel_matrix(int kind, const std::pair<double, double>& parameters, double variance, const Array<double>& scales,
                   const Array<double>& X, const std::optional<Array<double>>& Y, Array<double>& out, int n_threads) {
  const cpu::PointRows rows = rows_of(X), columns = rows_of(Y ? *Y : X);
  const auto n_features = static_cast<std::size_t>(X.shape(1));
  const double* const divisors = scales.data();
  double* const to = out.mutable_data();
  const bool symmetric = !Y;
  py::gil_scoped_release release;
  cpu::kernel_matrix(function_of(kind, parameters, variance), n_features, divisors, rows,
                     symmetric ? nullptr : &columns, to, n_threads);
}

}  // namespace

void bind_kernels(py::module_& m) {
  m.def("new_matrix", [](py::ssize_t n, py::ssize_t k) { return new_array<double>({n, k}); });
  m.def("kernel_matrix", &kernel_matrix, py::arg("kind"), py::arg("parameters"), py::arg("variance"),
        py::arg("scales").noconvert(), py::arg("X").noconvert(), py::arg("Y").noconvert().none(true),
        py::arg("out").noconvert(), py::arg("n_threads"));
}
