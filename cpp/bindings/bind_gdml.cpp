#include <algorithm>
#include <functional>
#include <optional>
#include <string>

#include "bindings.hpp"
#include "src/error.hpp"
#include "src/gdml_model.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace {

using namespace atomcore;
using cpu::GdmlCovariance;

// positions [n, N, 3] -> x [n, D], C [n, D, 3]
py::tuple descriptors(const Array<double>& positions, const std::optional<Array<double>>& lattice, int n_threads) {
  const auto n = positions.shape(0), N = positions.shape(1), D = N * (N - 1) / 2;
  auto x = new_array<double>({n, D}), C = new_array<double>({n, D, 3});
  double *const x_to = x.mutable_data(), *const C_to = C.mutable_data();
  {
    const py::gil_scoped_release release;
    const cpu::InverseDistances distances(static_cast<std::size_t>(N), lattice ? view(*lattice) : span<const double>());
    parallel_for(n, n_threads, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        distances.evaluate(positions.data() + i * 3 * N, x_to + i * D, C_to + i * 3 * D);
    });
  }
  return py::make_tuple(x, C);
}

GdmlCovariance::Storage storage_of(const std::string& name) {
  if (name == "full") return GdmlCovariance::Storage::full;
  if (name == "lower") return GdmlCovariance::Storage::lower;
  return GdmlCovariance::Storage::packed;
}

void fill(const GdmlCovariance& K, Array<double>& out, const std::string& storage, bool energies, std::size_t first,
          std::size_t last, int n_threads) {
  double* const to = out.mutable_data();
  const py::gil_scoped_release release;
  K.fill(to, storage_of(storage), energies, first, last, n_threads);
}

void rows(const GdmlCovariance& K, const Array<std::int64_t>& indices, bool energies, Array<double>& out,
          int n_threads) {
  double* const to = out.mutable_data();
  const py::gil_scoped_release release;
  K.rows(view(indices), energies, to, n_threads);
}

Array<double> product(const GdmlCovariance& K, const Array<double>& vector, bool energies, int n_threads) {
  auto out = new_array<double>({vector.size()});
  double* const to = out.mutable_data();
  {
    const py::gil_scoped_release release;
    K.product(vector.data(), energies, to, n_threads);
  }
  return out;
}

std::vector<double> copy_of(const Array<double>& values) { return {values.data(), values.data() + values.size()}; }

GdmlModel model(std::size_t n_atoms, double sigma, double scale, double constant, const Array<double>& lattice,
                const Array<double>& descriptors, const Array<double>& derivative_coefficients,
                const Array<double>& energy_coefficients, const Array<std::int64_t>& permutations) {
  return GdmlModel({n_atoms,
                    sigma,
                    scale,
                    constant,
                    copy_of(lattice),
                    copy_of(descriptors),
                    copy_of(derivative_coefficients),
                    copy_of(energy_coefficients),
                    {permutations.data(), permutations.data() + permutations.size()}});
}

constexpr std::int64_t kPiece = cpu::kTilePoints;  // geometries between two looks at whether to stop

// positions [n, N, 3] -> energies [n], forces [n, N, 3]
py::tuple predict(const GdmlModel& model, const Array<double>& positions, int n_threads) {
  const auto n = positions.shape(0), N = static_cast<py::ssize_t>(model.n_atoms());
  if (positions.ndim() != 3 || positions.shape(1) != N || positions.shape(2) != 3)
    throw py::value_error("positions must have the shape [n, " + std::to_string(N) + ", 3] of this model's atoms");
  auto energies = new_array<double>({n}), forces = new_array<double>({n, N, 3});
  double *const E = energies.mutable_data(), *const F = forces.mutable_data();
  {
    const py::gil_scoped_release release;
    Interruptible interruptible;
    parallel_for(n, n_threads, kPiece, [&](std::int64_t begin, std::int64_t end) {
      thread_local GdmlModel::Workspace work;
      for (std::int64_t first = begin; first < end; first += kPiece) {
        interruptible.check();
        const std::int64_t at = first * 3 * N, count = std::min(kPiece, end - first);
        model.evaluate(positions.data() + at, static_cast<std::size_t>(count), E + first, F + at, nullptr, work);
        std::transform(F + at, F + at + count * 3 * N, F + at, std::negate<double>());
      }
    });
  }
  return py::make_tuple(energies, forces);
}

}  // namespace

void bind_gdml(py::module_& m) {
  using py::arg;
  m.def("gdml_descriptors", &descriptors, arg("positions").noconvert(), arg("lattice").noconvert(), arg("n_threads"));
  py::class_<GdmlCovariance>(m, "GdmlCovariance")
      .def(py::init([](std::size_t n_atoms, const Array<double>& x, const Array<double>& C,
                       const Array<std::int64_t>& permutations,
                       double sigma) { return GdmlCovariance(n_atoms, view(x), view(C), view(permutations), sigma); }),
           arg("n_atoms"), arg("x").noconvert(), arg("C").noconvert(), arg("permutations").noconvert(), arg("sigma"))
      .def("size", &GdmlCovariance::size, arg("energies"))
      .def("fill", &fill, arg("out").noconvert(), arg("storage"), arg("energies"), arg("first"), arg("last"),
           arg("n_threads"))
      .def("rows", &rows, arg("indices").noconvert(), arg("energies"), arg("out").noconvert(), arg("n_threads"))
      .def("product", &product, arg("vector").noconvert(), arg("energies"), arg("n_threads"));
  py::class_<GdmlModel>(m, "GdmlModel")
      .def(py::init(&model), py::kw_only(), arg("n_atoms"), arg("sigma"), arg("scale"), arg("constant"),
           arg("lattice").noconvert(), arg("descriptors").noconvert(), arg("derivative_coefficients").noconvert(),
           arg("energy_coefficients").noconvert(), arg("permutations").noconvert())
      .def("predict", &predict, arg("positions").noconvert(), arg("n_threads"));
}
