#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings.hpp"
#include "src/error.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_input.hpp"
#include "src/neighbor_search.hpp"
#include "src/verlet.hpp"

namespace {

using Offsets = Array<std::int64_t>;
using Shifts = Array<std::int32_t>;

// Small systems are searched sooner than the interpreter's lock changes hands.
constexpr std::int64_t kWorthReleasing = 200;  // atoms

class ReleaseFor {
 public:
  explicit ReleaseFor(std::int64_t n_atoms) {
    if (n_atoms >= kWorthReleasing) release_.emplace();
  }

 private:
  std::optional<py::gil_scoped_release> release_;
};

// The search up to the point where the sizes of its results are known.
class Search {
 public:
  Search(const atomcore::cpu::Batch& batch, double cutoff, int n_threads, double bytes_per_pair)
      : batch_(batch), row_ptr_(new_array<std::int64_t>({batch.n_atoms() + 1})) {
    std::int64_t* const row_ptr = row_ptr_.mutable_data();
    const ReleaseFor release(batch.n_atoms());
    atomcore::check_neighbor_input(batch.positions, batch.cells, batch.pbc, batch.structure_ptr, cutoff,
                                   bytes_per_pair);
    search_.emplace(batch, cutoff, n_threads);
    search_->count(row_ptr, bytes_per_pair);
  }

  const Offsets& row_ptr() const { return row_ptr_; }
  py::ssize_t n_pairs() const { return row_ptr_.data()[batch_.n_atoms()]; }

  void write(const atomcore::cpu::RowArrays& list) {
    const std::int64_t* const row_ptr = row_ptr_.data();
    const ReleaseFor release(batch_.n_atoms());
    search_->write(row_ptr, list);
  }

 private:
  atomcore::cpu::Batch batch_;
  Offsets row_ptr_;
  std::optional<atomcore::cpu::NeighborSearch> search_;
};

py::tuple neighbor_list(const Array<double>& positions, const Array<double>& cells, const Array<std::uint8_t>& pbc,
                        const Offsets& structure_ptr, double cutoff, int n_threads) {
  Search search({view(positions), view(cells), view(pbc), view(structure_ptr)}, cutoff, n_threads, 20.0);
  auto neighbor = new_array<std::int64_t>({search.n_pairs()});
  auto shift = new_array<std::int32_t>({search.n_pairs(), 3});
  search.write({nullptr, neighbor.mutable_data(), shift.mutable_data(), nullptr, nullptr});
  return py::make_tuple(search.row_ptr(), neighbor, shift);
}

atomcore::span<const std::uint8_t> flags(const Array<bool>& pbc) {
  return {reinterpret_cast<const std::uint8_t*>(pbc.data()), static_cast<std::size_t>(pbc.size())};
}

void check_quantities(const std::string& quantities) {
  std::string unknown;
  for (const char letter : quantities)
    if (std::string("ijSDd").find(letter) == std::string::npos) unknown += letter;
  if (quantities.empty() || !unknown.empty())
    throw atomcore::Error(atomcore::ErrorCode::invalid_value,
                          "quantities must be letters of 'ijSDd', got " +
                              (unknown.empty() ? std::string("an empty string") : "'" + unknown + "'"));
}

// Whether these are arrays that the core reads as they are: positions [N, 3], cell [3, 3] and pbc [3].
bool is_plain(py::handle positions, py::handle cell, py::handle pbc) {
  if (!Array<double>::check_(positions) || !Array<double>::check_(cell) || !Array<bool>::check_(pbc)) return false;
  const auto r = py::reinterpret_borrow<py::array>(positions), h = py::reinterpret_borrow<py::array>(cell),
             p = py::reinterpret_borrow<py::array>(pbc);
  return r.ndim() == 2 && r.shape(1) == 3 && h.ndim() == 2 && h.shape(0) == 3 && h.shape(1) == 3 && p.ndim() == 1 &&
         p.shape(0) == 3;
}

// Structures one after the other: positions [N, 3], cells [S, 3, 3], pbc [S, 3] and structure_ptr [S + 1].
// `geometry_of` gives plain arrays of each.
py::tuple gather(const py::sequence& structures, const py::object& geometry_of) {
  const auto n_structures = static_cast<py::ssize_t>(structures.size());
  std::vector<py::tuple> geometries;
  geometries.reserve(structures.size());
  Offsets structure_ptr(n_structures + 1);
  std::int64_t* const ptr = structure_ptr.mutable_data();
  ptr[0] = 0;
  for (py::ssize_t s = 0; s < n_structures; ++s) {
    geometries.emplace_back(geometry_of(structures[static_cast<std::size_t>(s)]));
    ptr[s + 1] = ptr[s] + geometries.back()[0].cast<py::array>().shape(0);
  }
  auto positions = new_array<double>({ptr[n_structures], 3}), cells = new_array<double>({n_structures, 3, 3});
  auto pbc = new_array<bool>({n_structures, 3});
  for (py::ssize_t s = 0; s < n_structures; ++s) {
    const auto copy = [&](std::size_t part, auto* to) {
      const auto from = geometries[static_cast<std::size_t>(s)][part].cast<py::array>();
      std::memcpy(to, from.data(), static_cast<std::size_t>(from.nbytes()));
    };
    copy(0, positions.mutable_data() + 3 * ptr[s]);
    copy(1, cells.mutable_data() + 9 * s);
    copy(2, pbc.mutable_data() + 3 * s);
  }
  return py::make_tuple(positions, cells, pbc, structure_ptr);
}

// The arrays of a list of pairs that are wanted, in the order of the letters that stand for them.
py::object pairs(const std::string& quantities, const Array<double>& positions, const Array<double>& cells,
                 const Array<bool>& pbc, const std::optional<Offsets>& structure_ptr, double cutoff, int n_threads) {
  check_quantities(quantities);
  const std::int64_t one[2] = {0, positions.shape(0)};
  const atomcore::span<const std::int64_t> structures =
      structure_ptr ? view(*structure_ptr) : atomcore::span<const std::int64_t>(one, 2);
  Search search({view(positions), view(cells), flags(pbc), structures}, cutoff, n_threads, 60.0);
  const py::ssize_t n = search.n_pairs();
  atomcore::cpu::RowArrays list{};
  py::object i, j, S, D, d;
  const auto wanted = [&](char letter) { return quantities.find(letter) != std::string::npos; };
  const auto make = [n](py::object& array, auto*& data, bool vectors) {
    using T = std::remove_reference_t<decltype(*data)>;
    auto made = new_array<T>(vectors ? std::vector<py::ssize_t>{n, 3} : std::vector<py::ssize_t>{n});
    data = made.mutable_data();
    array = std::move(made);
  };
  if (wanted('i')) make(i, list.centre, false);
  if (wanted('j')) make(j, list.neighbor, false);
  if (wanted('S')) make(S, list.shift, true);
  if (wanted('D')) make(D, list.vector, true);
  if (wanted('d')) make(d, list.distance, false);
  search.write(list);
  const auto array_of = [&](char letter) {
    return letter == 'i' ? i : letter == 'j' ? j : letter == 'S' ? S : letter == 'D' ? D : d;
  };
  if (quantities.size() == 1) return array_of(quantities[0]);
  py::tuple result(quantities.size());
  for (std::size_t q = 0; q < quantities.size(); ++q) result[q] = array_of(quantities[q]);
  return std::move(result);
}

bool update(atomcore::VerletList& list, const Array<double>& positions, const Array<double>& cell,
            const Array<bool>& pbc, int n_threads) {
  const ReleaseFor release(positions.shape(0));
  return list.update(view(positions), view(cell), flags(pbc), n_threads);
}

// row_ptr [N + 1] and the pairs within the cutoff: neighbor, shift, vectors and distances, at the front of arrays that
// are long enough for all pairs of the list.
py::tuple near_pairs(const atomcore::VerletList& list, int n_threads) {
  const auto room = static_cast<py::ssize_t>(list.list().neighbor.size());
  auto row_ptr = new_array<std::int64_t>({list.n_atoms() + 1}), neighbor = new_array<std::int64_t>({room});
  auto shift = new_array<std::int32_t>({room, 3});
  auto D = new_array<double>({room, 3}), d = new_array<double>({room});
  const atomcore::cpu::RowArrays arrays{nullptr, neighbor.mutable_data(), shift.mutable_data(), D.mutable_data(),
                                        d.mutable_data()};
  std::int64_t* const rows = row_ptr.mutable_data();
  {
    const ReleaseFor release(list.n_atoms());
    list.near(rows, arrays, n_threads);
  }
  return py::make_tuple(row_ptr, neighbor, shift, D, d);
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
  m.def("is_plain", &is_plain);
  m.def("gather", &gather);
  m.def("pairs", &pairs, py::arg("quantities"), py::arg("positions").noconvert(), py::arg("cells").noconvert(),
        py::arg("pbc").noconvert(), py::arg("structure_ptr").noconvert(), py::arg("cutoff"), py::arg("n_threads"));
  py::class_<atomcore::VerletList>(m, "VerletList")
      .def(py::init<double, double>(), py::arg("cutoff"), py::arg("skin"))
      .def("update", &update, py::arg("positions").noconvert(), py::arg("cell").noconvert(), py::arg("pbc").noconvert(),
           py::arg("n_threads"))
      .def("near", &near_pairs, py::arg("n_threads"));
  bind_edges<double>(m);
  bind_edges<float>(m);
}
