#include <optional>
#include <string>
#include <type_traits>

#include "bindings.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_input.hpp"
#include "src/neighbor_search.hpp"

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
    search_->count(row_ptr);
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

// The arrays of a list of pairs that are wanted, in the order of the letters that stand for them.
py::object pairs(const std::string& quantities, const Array<double>& positions, const Array<double>& cells,
                 const Array<bool>& pbc, const Offsets& structure_ptr, double cutoff, int n_threads) {
  const atomcore::span<const std::uint8_t> flags(reinterpret_cast<const std::uint8_t*>(pbc.data()),
                                                 static_cast<std::size_t>(pbc.size()));
  Search search({view(positions), view(cells), flags, view(structure_ptr)}, cutoff, n_threads, 60.0);
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
  m.def("pairs", &pairs, py::arg("quantities"), py::arg("positions").noconvert(), py::arg("cells").noconvert(),
        py::arg("pbc").noconvert(), py::arg("structure_ptr").noconvert(), py::arg("cutoff"), py::arg("n_threads"));
  bind_edges<double>(m);
  bind_edges<float>(m);
}
