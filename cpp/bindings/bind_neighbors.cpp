#include "bindings.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_input.hpp"

namespace {

using Offsets = Array<std::int64_t>;
using Shifts = Array<std::int32_t>;

py::tuple neighbor_list(const Array<double>& positions, const Array<double>& cells, const Array<std::uint8_t>& pbc,
                        const Offsets& structure_ptr, double cutoff, int n_threads) {
  atomcore::cpu::NeighborList list;
  {
    py::gil_scoped_release release;
    atomcore::check_neighbor_input(view(positions), view(cells), view(pbc), view(structure_ptr), cutoff);
    list =
        atomcore::cpu::neighbor_list(view(positions), view(cells), view(pbc), view(structure_ptr), cutoff, n_threads);
  }
  const auto rows = static_cast<py::ssize_t>(list.row_ptr.size()), n = static_cast<py::ssize_t>(list.neighbor.size());
  return py::make_tuple(to_array(std::move(list.row_ptr), {rows}), to_array(std::move(list.neighbor), {n}),
                        to_array(std::move(list.shift), {n, 3}));
}

template <typename T>
Array<T> edge_vectors(const Array<T>& positions, const Array<T>& cells, const Offsets& structure_ptr,
                      const Offsets& row_ptr, const Offsets& neighbor, const Shifts& shift, int n_threads) {
  Array<T> D({neighbor.size(), py::ssize_t{3}});
  const auto out = mutable_view(D);
  py::gil_scoped_release release;
  atomcore::check_edges(view(structure_ptr), view(row_ptr), view(neighbor), view(shift));
  atomcore::check_size("positions", view(positions).size(), 3 * (view(row_ptr).size() - 1));
  atomcore::check_size("cells", view(cells).size(), 9 * (view(structure_ptr).size() - 1));
  atomcore::cpu::edge_vectors(view(positions), view(cells), view(structure_ptr), view(row_ptr), view(neighbor),
                              view(shift), out, n_threads);
  return D;
}

template <typename T>
py::tuple edge_scatter(const Array<T>& g_D, const Offsets& structure_ptr, const Offsets& row_ptr,
                       const Offsets& neighbor, const Shifts& shift, int n_threads) {
  {
    py::gil_scoped_release release;
    atomcore::check_edges(view(structure_ptr), view(row_ptr), view(neighbor), view(shift));
    atomcore::check_size("g_D", view(g_D).size(), 3 * view(neighbor).size());
  }
  Array<T> g_positions({row_ptr.size() - 1, py::ssize_t{3}});
  Array<T> g_cells({structure_ptr.size() - 1, py::ssize_t{3}, py::ssize_t{3}});
  const auto out_positions = mutable_view(g_positions), out_cells = mutable_view(g_cells);
  {
    py::gil_scoped_release release;
    atomcore::cpu::edge_scatter(view(g_D), view(structure_ptr), view(row_ptr), view(neighbor), view(shift),
                                out_positions, out_cells, n_threads);
  }
  return py::make_tuple(g_positions, g_cells);
}

template <typename T>
void bind_edges(py::module_& m) {
  m.def("edge_vectors", &edge_vectors<T>, py::arg("positions").noconvert(), py::arg("cells").noconvert(),
        py::arg("structure_ptr").noconvert(), py::arg("row_ptr").noconvert(), py::arg("neighbor").noconvert(),
        py::arg("shift").noconvert(), py::arg("n_threads"));
  m.def("edge_scatter", &edge_scatter<T>, py::arg("g_D").noconvert(), py::arg("structure_ptr").noconvert(),
        py::arg("row_ptr").noconvert(), py::arg("neighbor").noconvert(), py::arg("shift").noconvert(),
        py::arg("n_threads"));
}

}  // namespace

void bind_neighbors(py::module_& m) {
  m.def("neighbor_list", &neighbor_list, py::arg("positions").noconvert(), py::arg("cells").noconvert(),
        py::arg("pbc").noconvert(), py::arg("structure_ptr").noconvert(), py::arg("cutoff"), py::arg("n_threads"));
  bind_edges<double>(m);
  bind_edges<float>(m);
}
