#include "bindings.hpp"
#include "src/evaluator.hpp"
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
  const auto graded = static_cast<py::ssize_t>(found.grade.size());
  return py::make_tuple(to_array(std::move(found.count), {atoms}), to_array(std::move(found.excess), {atoms}),
                        to_array(std::move(found.feature), {atoms}), to_array(std::move(found.grade), {graded}));
}

py::tuple to_tuple(Evaluation&& result) {
  return py::make_tuple(to_tuple(std::move(result.mean)), to_tuple(std::move(result.spread)),
                        to_tuple(std::move(result.extrapolation)));
}

// The arrays of Python's Structure, which must stay alive.
Structure structure_of(const Array<double>& positions, const Array<double>& cell, const Array<bool>& pbc,
                       const Array<std::int32_t>& numbers) {
  return {view(positions), view(cell), {reinterpret_cast<const std::uint8_t*>(pbc.data()), 3}, view(numbers)};
}

// Both a potential and an evaluator compute.
template <typename Computer>
py::tuple compute(Computer& computer, const Array<double>& positions, const Array<double>& cell, const Array<bool>& pbc,
                  const Array<std::int32_t>& numbers, const Request& request, int n_threads) {
  const Structure structure = structure_of(positions, cell, pbc, numbers);
  Evaluation result;
  {
    py::gil_scoped_release release;
    result = computer.compute(structure, request, n_threads);
  }
  return to_tuple(std::move(result));
}

py::list compute_batch(const Potential& potential, const py::sequence& structures, const Request& request,
                       int n_threads) {
  std::vector<Structure> views;
  for (const py::handle item : structures) {
    const auto fields = py::reinterpret_borrow<py::tuple>(item);
    views.push_back(structure_of(fields[0].cast<Array<double>>(), fields[1].cast<Array<double>>(),
                                 fields[2].cast<Array<bool>>(), fields[3].cast<Array<std::int32_t>>()));
  }
  std::vector<Evaluation> results;
  {
    py::gil_scoped_release release;
    results = potential.compute(span<const Structure>(views), request, n_threads);
  }
  py::list list;
  for (Evaluation& result : results) list.append(to_tuple(std::move(result)));
  return list;
}

}  // namespace

void bind_potential(py::module_& m) {
  const auto release = py::call_guard<py::gil_scoped_release>();
  m.def("read_metadata", [](const std::string& path) { return read_model_file(path).metadata; }, release);
  py::class_<Request>(m, "Request").def(py::init([](bool derivatives, bool spread, bool extrapolation, bool grade) {
    return Request{derivatives, spread, extrapolation, grade};
  }));
  const auto array = [] { return py::arg().noconvert(); };
  py::class_<Potential>(m, "Potential")
      .def_static(
          "load",
          [](const std::string& path, bool single) {
            return Potential(read_model_file(path), single ? Precision::float32 : Precision::float64);
          },
          release)
      .def_property_readonly("metadata", &Potential::metadata)
      .def_property_readonly("abilities",
                             [](const Potential& potential) {
                               const Abilities a = potential.abilities();
                               return py::make_tuple(a.atomic_energies, a.spread, a.ranges, a.grade);
                             })
      .def("compute", &compute<const Potential>, array(), array(), array(), array(), py::arg(), py::arg())
      .def("compute_batch", &compute_batch);
  py::class_<Evaluator>(m, "Evaluator")
      .def(py::init<const Potential&>(), py::keep_alive<1, 2>())
      .def("compute", &compute<Evaluator>, array(), array(), array(), array(), py::arg(), py::arg());
}
