#include <memory>
#include <string>
#include <tuple>

#include "bindings.hpp"
#include "src/error.hpp"
#include "src/many_body_model.hpp"

namespace {

using namespace atomcore;

using Doubles = Array<double>;
using Whole = Array<std::int64_t>;

template <typename T>
std::vector<T> vector_of(const Array<T>& a) {
  return {a.data(), a.data() + a.size()};
}

const std::uint8_t* flags_of(const Array<bool>& pbc) { return reinterpret_cast<const std::uint8_t*>(pbc.data()); }

Entities entities_of(const Whole& ptr, const Whole& atom, const Array<std::int32_t>& component) {
  return {view(ptr), view(atom), view(component)};
}

std::shared_ptr<TupleModel> gdml(double sigma, double scale, double constant, const Doubles& lattice,
                                 const Doubles& descriptors, const Doubles& derivative_coefficients,
                                 const Doubles& energy_coefficients, const Whole& permutations) {
  return std::const_pointer_cast<TupleModel>(
      make_tuple_model(GdmlRecord{static_cast<std::size_t>(permutations.shape(1)), sigma, scale, constant,
                                  vector_of(lattice), vector_of(descriptors), vector_of(derivative_coefficients),
                                  vector_of(energy_coefficients), vector_of(permutations)}));
}

using ComponentTuple = std::tuple<std::string, std::vector<std::int32_t>, std::vector<double>>;
using TermTuple = std::tuple<std::vector<std::int32_t>, TupleCriterion, std::shared_ptr<TupleModel>>;

std::vector<ComponentRecord> components_of(const std::vector<ComponentTuple>& components) {
  std::vector<ComponentRecord> records;
  for (const auto& [name, numbers, masses] : components) records.push_back({name, numbers, masses});
  return records;
}

ManyBodyModel make(const std::vector<ComponentTuple>& components, const std::vector<TermTuple>& terms) {
  std::vector<ManyBodyTerm> records;
  for (const auto& [of, criterion, model] : terms) records.push_back({of, criterion, model});
  return ManyBodyModel(components_of(components), std::move(records));
}

py::tuple compute(const ManyBodyModel& model, const Doubles& positions, const Doubles& cell, const Array<bool>& pbc,
                  const Array<std::int32_t>& numbers, const Whole& ptr, const Whole& atom,
                  const Array<std::int32_t>& component, const Doubles& scaling, bool derivatives, int n_threads) {
  ManyBodyValues values;
  {
    py::gil_scoped_release release;
    values = model.compute(view(positions), cell.data(), flags_of(pbc), view(numbers),
                           entities_of(ptr, atom, component), view(scaling), derivatives, n_threads);
  }
  std::vector<double> strain(values.strain_gradient.begin(), values.strain_gradient.end());
  const auto terms = static_cast<py::ssize_t>(values.terms.size()), n = numbers.size();
  return py::make_tuple(to_array(std::move(values.terms), {terms}), to_array(std::move(values.energies), {n}),
                        to_array(std::move(values.gradient), {derivatives ? n : 0, 3}),
                        to_array(std::move(strain), {3, 3}));
}

py::tuple evaluate(const TupleModel& model, const Doubles& positions, int n_threads) {
  const py::ssize_t n = positions.shape(0);
  auto energies = new_array<double>({n}), gradients = new_array<double>({n, positions.shape(1), 3});
  double *const e = energies.mutable_data(), *const g = gradients.mutable_data();
  {
    py::gil_scoped_release release;
    evaluate_tuples(model, view(positions), e, g, n_threads);
  }
  return py::make_tuple(std::move(energies), std::move(gradients));
}

py::tuple tuples(const ManyBodyModel& model, const Doubles& positions, const Doubles& cell, const Array<bool>& pbc,
                 const Array<std::int32_t>& numbers, const Whole& ptr, const Whole& atom,
                 const Array<std::int32_t>& component, const std::vector<std::int32_t>& wanted,
                 const TupleCriterion& criterion, int n_threads) {
  TupleSet set;
  {
    py::gil_scoped_release release;
    set = model.tuples(view(positions), cell.data(), flags_of(pbc), view(numbers), entities_of(ptr, atom, component),
                       wanted, criterion, n_threads);
  }
  const auto count = static_cast<py::ssize_t>(set.value.size()), n = static_cast<py::ssize_t>(wanted.size());
  const auto atoms = count == 0 ? 0 : static_cast<py::ssize_t>(set.positions.size()) / (3 * count);
  return py::make_tuple(to_array(std::move(set.entity), {count, n}), to_array(std::move(set.shift), {count, n, 3}),
                        to_array(std::move(set.value), {count}), to_array(std::move(set.factor), {count}),
                        to_array(std::move(set.positions), {count, atoms, 3}));
}

py::tuple consecutive(const ManyBodyModel& model, const Array<std::int32_t>& numbers) {
  std::vector<std::int64_t> ptr, atom;
  std::vector<std::int32_t> component;
  model.consecutive(view(numbers), ptr, atom, component);
  const auto n = static_cast<py::ssize_t>(component.size());
  return py::make_tuple(to_array(std::move(ptr), {n + 1}), to_array(std::move(atom), {numbers.size()}),
                        to_array(std::move(component), {n}));
}

}  // namespace

void bind_many_body(py::module_& m) {
  const auto release = py::call_guard<py::gil_scoped_release>();
  const auto array = [] { return py::arg().noconvert(); };
  py::class_<TupleCriterion>(m, "TupleCriterion")
      .def(py::init([](int measure, double lower, double cutoff, double width) {
        return TupleCriterion{static_cast<TupleMeasure>(measure), lower, cutoff, width};
      }));
  py::class_<TupleModel, std::shared_ptr<TupleModel>>(m, "TupleModel")
      .def_static("gdml", &gdml, py::kw_only(), py::arg("sigma"), py::arg("scale"), py::arg("constant"),
                  py::arg("lattice").noconvert(), py::arg("descriptors").noconvert(),
                  py::arg("derivative_coefficients").noconvert(), py::arg("energy_coefficients").noconvert(),
                  py::arg("permutations").noconvert())
      .def("evaluate", &evaluate, array(), py::arg());
  py::class_<ManyBodyModel>(m, "ManyBodyModel")
      .def(py::init(&make), py::arg("components"), py::arg("terms"))
      .def("consecutive", &consecutive, array())
      .def("compute", &compute, array(), array(), array(), array(), array(), array(), array(), array(), py::arg(),
           py::arg())
      .def("tuples", &tuples, array(), array(), array(), array(), array(), array(), array(), py::arg(), py::arg(),
           py::arg())
      .def(
          "apply",
          [](const ManyBodyModel& model, const std::vector<std::int32_t>& components, const TupleCriterion& criterion,
             const Doubles& positions, Doubles& energies, Doubles& gradients) {
            model.apply(components, criterion, view(positions), mutable_view(energies), mutable_view(gradients));
          },
          py::arg(), py::arg(), array(), array(), array());
}
