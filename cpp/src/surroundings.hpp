// Structures with their neighbours, as models of local energies see them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "atomcore/span.hpp"
#include "math/cell.hpp"
#include "src/coincident.hpp"
#include "src/kernels.hpp"

namespace atomcore {

// One structure or several, with their neighbours.
struct Surroundings {
  span<const double> positions;        // [N, 3]
  span<const double> cells;            // [S, 3, 3]
  span<const std::int32_t> structure;  // [N], to which each atom belongs
  span<const std::int32_t> species;    // [N]
  const cpu::NeighborList* list;       // of all pairs within the cutoff, and maybe of some beyond
  double squared_cutoff;               // distance < cutoff exactly where the square is less than this
};

inline math::Vec3<double> edge_vector(const Surroundings& near, std::size_t atom, std::size_t edge) {
  const std::int32_t* const shift = &near.list->shift[3 * edge];
  return math::edge_vector(&near.positions[3 * atom],
                           &near.positions[3 * static_cast<std::size_t>(near.list->neighbor[edge])],
                           &near.cells[9 * static_cast<std::size_t>(near.structure[atom])],
                           static_cast<double>(shift[0]), static_cast<double>(shift[1]), static_cast<double>(shift[2]));
}

// Throws Error(invalid_value) that names the first pair, whichever was found first.
[[noreturn]] void refuse_coincident(const Surroundings& near);

// Calls visit(neighbor, D) for each neighbour of an atom within the cutoff. Throws Error(invalid_value) where one is at
// the place of the atom.
template <typename Visit>
void for_each_neighbor(const Surroundings& near, std::size_t atom, const Visit& visit) {
  const auto begin = static_cast<std::size_t>(near.list->row_ptr[atom]);
  const auto end = static_cast<std::size_t>(near.list->row_ptr[atom + 1]);
  for (std::size_t e = begin; e < end; ++e) {
    const math::Vec3<double> D = edge_vector(near, atom, e);
    const double square = math::dot(D, D);
    if (!(square < near.squared_cutoff)) continue;
    if (square < kCoincident * kCoincident) refuse_coincident(near);
    visit(static_cast<std::size_t>(near.list->neighbor[e]), D);
  }
}

}  // namespace atomcore
