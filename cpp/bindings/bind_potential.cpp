#include "bindings.hpp"
#include "src/model_file.hpp"
#include "src/potential.hpp"

namespace {

using namespace atomcore;

py::tuple to_tuple(Values&& values) {
  const auto atoms = static_cast<py::ssize_t>(values.energies.size());
  const auto rows = static_cast<py::ssize_t>(values.gradient.size() / 3);
  std::vector<double> strain(values.strain_gradient.begin(), values.strain_gradient.end());
  return py::make_tuple(values.energy, to_array(std::move(values.energies), {atoms}),
                        to_array(std::move(values.gradient), {rows, 3}), to_array(std::move(strain), {3, 3}));
}

py::tuple to_tuple(Extrapolation&& found) {
  const auto atoms = static_cast<py::ssize_t>(found.count.size());
  return py::make_tuple(to_array(std::move(found.count), {atoms}), to_array(std::move(found.excess), {atoms}),
                        to_array(std::move(found.feature), {atoms}));
}

py::tuple compute(const Potential& potential, const Array<double>& positions, const Array<double>& cell,
                  const Array<bool>& pbc, const Array<std::int32_t>& numbers, bool derivatives, bool spread,
                  bool extrapolation, int n_threads) {
  const span<const std::uint8_t> periodic(reinterpret_cast<const std::uint8_t*>(pbc.data()), 3);
  const Structure structure{view(positions), view(cell), periodic, view(numbers)};
  Evaluation result;
  {
    py::gil_scoped_release release;
    result = potential.compute(structure, {derivatives, spread, extrapolation}, n_threads);
  }
  return py::make_tuple(to_tuple(std::move(result.mean)), to_tuple(std::move(result.spread)),
                        to_tuple(std::move(result.extrapolation)));
}

}  // namespace

void bind_potential(py::module_& m) {
  const auto release = py::call_guard<py::gil_scoped_release>();
  m.def("read_metadata", [](const std::string& path) { return read_model_file(path).metadata; }, release);
  py::class_<Potential>(m, "Potential")
      .def_static(
          "load",
          [](const std::string& path, bool single) {
            return Potential(read_model_file(path), single ? Precision::float32 : Precision::float64);
          },
          release)
      .def_property_readonly("metadata", &Potential::metadata)
      .def("compute", &compute, py::arg().noconvert(), py::arg().noconvert(), py::arg().noconvert(),
           py::arg().noconvert(), py::arg(), py::arg(), py::arg(), py::arg());
}
