// Layer 2: neighbour lists of a molecular-dynamics host, and what is checked of them before anything is read.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"

namespace atomcore {

// Some atoms of a structure with the host's own full lists. Neighbours are any of the N atoms: periodic images are
// ghost atoms with positions of their own.
struct HostNeighbors {
  span<const double> positions;              // [N, 3], Angstrom
  span<const std::int32_t> types;            // [N]
  span<const std::int32_t> element_of_type;  // negative for atoms that are not seen; empty: types are elements
  span<const std::int32_t> centres;          // the atoms whose energies are summed, each once
  const std::int32_t* count;                 // [N], by atom: length of its list; only those of centres are read
  const std::int32_t* const* first;          // [N], by atom: its list
  std::int32_t mask;                         // bits of an entry that are the index of an atom; the others are ignored
};

struct HostAtoms {
  std::vector<std::int32_t> species;  // [N], indices of elements, negative for atoms that are not seen
  std::vector<std::int32_t> centres;  // those of the host that are seen
};

// Throws Error(invalid_value) that names the array and its entry.
HostAtoms check_host_neighbors(const HostNeighbors& host, std::size_t n_elements);

}  // namespace atomcore
