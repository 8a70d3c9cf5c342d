// Structures with their neighbours, as models of local energies see them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "atomcore/span.hpp"
#include "math/cell.hpp"
#include "src/coincident.hpp"
#include "src/host_neighbors.hpp"
#include "src/kernels.hpp"

namespace atomcore {

// One structure or several, with their neighbours: rows of a list with shifts, or the lists of a host for some atoms of
// one structure.
struct Surroundings {
  span<const double> positions;                // [N, 3]
  span<const double> cells;                    // [S, 3, 3]
  span<const std::int32_t> structure;          // [N], to which each atom belongs
  span<const std::int32_t> species;            // [N]; negative for atoms of a host that are not seen
  const cpu::NeighborList* list;               // of all pairs within the cutoff, and maybe of some beyond; or null
  double squared_cutoff;                       // distance < cutoff exactly where the square is less than this
  const HostNeighbors* host = nullptr;         // where there is no list
  span<const std::int32_t> centres_of_host{};  // those of its centres that are seen

  std::size_t n_centres() const { return host ? centres_of_host.size() : species.size(); }
  std::size_t centre(std::size_t k) const { return host ? static_cast<std::size_t>(centres_of_host[k]) : k; }
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

// The most neighbours that an atom can have.
inline std::size_t length_of_row(const Surroundings& near, std::size_t atom) {
  return static_cast<std::size_t>(near.host ? near.host->count[atom]
                                            : near.list->row_ptr[atom + 1] - near.list->row_ptr[atom]);
}

// Calls visit(neighbor, D) for each atom on the list of an atom, however far.
template <typename Visit>
void for_each_listed(const Surroundings& near, std::size_t atom, const Visit& visit) {
  const std::size_t n = length_of_row(near, atom);
  if (near.host) {
    const std::int32_t* const row = near.host->first[atom];
    for (std::size_t k = 0; k < n; ++k) {
      const auto neighbor = static_cast<std::size_t>(row[k] & near.host->mask);
      if (near.species[neighbor] < 0) continue;
      visit(neighbor, math::load(&near.positions[3 * neighbor]) - math::load(&near.positions[3 * atom]));
    }
  } else {
    const auto begin = static_cast<std::size_t>(near.list->row_ptr[atom]);
    for (std::size_t e = begin; e < begin + n; ++e)
      visit(static_cast<std::size_t>(near.list->neighbor[e]), edge_vector(near, atom, e));
  }
}

// Calls visit(neighbor, D, inside) for each atom on the list of an atom. Whether it is within the cutoff is handed on:
// a branch that nobody can predict costs more than what it saves. Throws Error(invalid_value) where one is at the place
// of the atom, after the visits.
template <typename Visit>
void for_each_neighbor(const Surroundings& near, std::size_t atom, const Visit& visit) {
  double least = near.squared_cutoff;
  for_each_listed(near, atom, [&](std::size_t neighbor, const math::Vec3<double>& D) {
    const double square = math::dot(D, D);
    least = square < least ? square : least;
    visit(neighbor, D, square < near.squared_cutoff);
  });
  if (least < kCoincident * kCoincident) refuse_coincident(near);
}

}  // namespace atomcore
