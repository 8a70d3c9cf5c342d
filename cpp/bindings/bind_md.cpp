#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "bindings.hpp"
#include "src/md_loop.hpp"

namespace {

using namespace atomcore;

Array<double> copy_of(const std::vector<double>& values) {
  return to_array(std::vector<double>(values), {static_cast<py::ssize_t>(values.size() / 3), 3});
}

py::dict to_dict(const MdState& state) {
  const Values& mean = state.values.mean;
  const auto atoms = static_cast<py::ssize_t>(mean.energies.size());
  std::vector<double> strain(mean.strain_gradient.begin(), mean.strain_gradient.end());
  py::dict values;
  values["step"] = state.step;
  values["positions"] = copy_of(state.positions);
  values["momenta"] = copy_of(state.momenta);
  values["energy"] = mean.energy;
  values["energies"] = to_array(std::vector<double>(mean.energies), {atoms});
  values["gradient"] = copy_of(mean.gradient);
  values["strain_gradient"] = to_array(std::move(strain), {3, 3});
  values["forces_spread"] = copy_of(state.values.spread.gradient);
  const Extrapolation& found = state.values.extrapolation;
  const auto n = static_cast<py::ssize_t>(found.count.size());
  values["extrapolation"] = to_array(std::vector<std::int32_t>(found.count), {n});
  values["extrapolation_excess"] = to_array(std::vector<double>(found.excess), {n});
  values["extrapolation_feature"] = to_array(std::vector<std::int32_t>(found.feature), {n});
  const auto graded = static_cast<py::ssize_t>(found.grade.size());
  values["extrapolation_grade"] = to_array(std::vector<double>(found.grade), {graded});
  return values;
}

py::tuple run(MdLoop& loop, std::int64_t last, std::int64_t interval, double seconds) {
  MdBlock block;
  {
    py::gil_scoped_release release;
    block = loop.run(last, interval, seconds);
  }
  py::list samples;
  for (const MdSample& s : block.samples)
    samples.append(py::make_tuple(s.step, s.potential, s.kinetic, s.spread, s.excess, s.atom, s.feature, s.grade));
  const char* const names[] = {"done", "paused", "refused", "doubtful"};
  return py::make_tuple(names[static_cast<int>(block.outcome)], std::move(block.message), std::move(samples));
}

std::unique_ptr<MdLoop> make(const Potential& potential, const Array<std::int32_t>& numbers,
                             const Array<double>& masses, const Array<double>& cell, const Array<bool>& pbc,
                             const Array<double>& positions, const Array<double>& momenta,
                             const MdConditions& conditions, const MdLimits& limits, bool with_spread, int n_threads) {
  MdSystem system;
  system.numbers.assign(numbers.data(), numbers.data() + numbers.size());
  system.masses.assign(masses.data(), masses.data() + masses.size());
  std::copy(cell.data(), cell.data() + 9, system.cell.begin());
  std::copy(pbc.data(), pbc.data() + 3, system.pbc.begin());
  return std::make_unique<MdLoop>(potential, std::move(system), conditions, limits, view(positions), view(momenta),
                                  with_spread, n_threads);
}

}  // namespace

void bind_md(py::module_& m) {
  using py::arg;
  py::class_<MdConditions>(m, "MdConditions")
      .def(py::init([](double dt, bool thermostat, double kT, double friction, std::uint64_t seed,
                       std::uint32_t stream) { return MdConditions{dt, thermostat, kT, friction, seed, stream}; }),
           py::kw_only(), arg("dt"), arg("thermostat"), arg("kT"), arg("friction"), arg("seed"), arg("stream"));
  py::class_<MdLimits>(m, "MdLimits")
      .def(py::init([](std::vector<double> radii, double kinetic, double jump, double drift, double kelvin,
                       double excess, double spread, double grade) {
             return MdLimits{std::move(radii), kinetic, jump, drift, kelvin, excess, spread, grade};
           }),
           py::kw_only(), arg("radii"), arg("kinetic"), arg("jump"), arg("drift"), arg("kelvin"), arg("excess"),
           arg("spread"), arg("grade"));
  py::class_<MdLoop>(m, "MdLoop")
      .def(py::init(&make), py::keep_alive<1, 2>(), arg("potential"), arg("numbers").noconvert(),
           arg("masses").noconvert(), arg("cell").noconvert(), arg("pbc").noconvert(), arg("positions").noconvert(),
           arg("momenta").noconvert(), arg("conditions"), arg("limits"), arg("with_spread"), arg("n_threads"))
      .def("resume", [](MdLoop& loop, std::int64_t step, double energy, const Array<double>& gradient,
                        std::array<double, 2> start) { loop.resume(step, energy, view(gradient), start); })
      .def("run", &run)
      .def("set_limits", &MdLoop::set_limits, py::kw_only(), arg("excess"), arg("spread"), arg("grade"))
      .def_property_readonly("started", &MdLoop::started)
      .def_property_readonly("step", [](const MdLoop& loop) { return loop.state().step; })
      .def_property_readonly("start", &MdLoop::start)
      .def_property_readonly("seconds", &MdLoop::seconds)
      .def_property_readonly("model_seconds", &MdLoop::model_seconds)
      .def_property_readonly("state", [](const MdLoop& loop) { return to_dict(loop.state()); })
      .def_property_readonly("candidate", [](const MdLoop& loop) { return to_dict(loop.candidate()); });
}
