#include "src/host_neighbors.hpp"

#include <algorithm>
#include <string>

#include "src/error.hpp"
#include "src/neighbor_input.hpp"

namespace atomcore {
namespace {

constexpr std::int32_t kUnseen = -1;

[[noreturn]] void refuse(const std::string& array, std::size_t entry, std::int64_t value, const std::string& accepted) {
  throw Error(ErrorCode::invalid_value,
              array + "[" + std::to_string(entry) + "] is " + std::to_string(value) + "; accepted: " + accepted);
}

std::string below(std::size_t n) { return n == 0 ? "none" : "0 to " + std::to_string(n - 1); }

bool is_index(std::int32_t value, std::size_t n) { return value >= 0 && static_cast<std::size_t>(value) < n; }

void check_elements(span<const std::int32_t> element_of_type, std::size_t n_elements) {
  for (std::size_t t = 0; t < element_of_type.size(); ++t)
    if (element_of_type[t] >= 0 && !is_index(element_of_type[t], n_elements))
      refuse("element_of_type", t, element_of_type[t],
             below(n_elements) + ", or a negative number for atoms that the model is not to see");
}

std::vector<std::int32_t> species_of(const HostNeighbors& host, std::size_t n_elements) {
  const bool mapped = !host.element_of_type.empty();
  const std::size_t n_types = mapped ? host.element_of_type.size() : n_elements;
  std::vector<std::int32_t> species(host.types.size());
  for (std::size_t i = 0; i < species.size(); ++i) {
    const std::int32_t type = host.types[i];
    if (!is_index(type, n_types)) refuse("types", i, type, below(n_types));
    species[i] = mapped ? std::max(host.element_of_type[static_cast<std::size_t>(type)], kUnseen) : type;
  }
  return species;
}

// The largest index of a list; a negative one counts as larger than all others.
std::uint32_t largest(const std::int32_t* list, std::int32_t count, std::int32_t mask) {
  std::uint32_t most = 0;
  for (std::int32_t k = 0; k < count; ++k) most = std::max(most, static_cast<std::uint32_t>(list[k] & mask));
  return most;
}

void check_list(const HostNeighbors& host, std::size_t atom) {
  const std::size_t n = host.types.size();
  const std::int32_t count = host.count[atom];
  if (count < 0) refuse("numneigh", atom, count, "0 or more");
  if (count == 0) return;
  if (host.first[atom] == nullptr)
    throw Error(ErrorCode::invalid_value, "firstneigh[" + std::to_string(atom) + "] is NULL where numneigh is " +
                                              std::to_string(count) + "; accepted: a list of as many atoms");
  if (largest(host.first[atom], count, host.mask) < n) return;
  for (std::int32_t k = 0; k < count; ++k) {
    const std::int32_t neighbor = host.first[atom][k] & host.mask;
    if (!is_index(neighbor, n))
      refuse("firstneigh[" + std::to_string(atom) + "]", static_cast<std::size_t>(k), neighbor, below(n));
  }
}

}  // namespace

HostAtoms check_host_neighbors(const HostNeighbors& host, std::size_t n_elements) {
  const std::size_t n = host.types.size();
  check_size("positions", host.positions.size(), 3 * n);
  check_positions(host.positions);
  check_elements(host.element_of_type, n_elements);
  HostAtoms atoms{species_of(host, n_elements), {}};
  std::vector<bool> taken(n);
  atoms.centres.reserve(host.centres.size());
  for (std::size_t k = 0; k < host.centres.size(); ++k) {
    const std::int32_t centre = host.centres[k];
    if (!is_index(centre, n)) refuse("ilist", k, centre, below(n));
    const auto atom = static_cast<std::size_t>(centre);
    if (taken[atom]) refuse("ilist", k, centre, "every atom once");
    taken[atom] = true;
    if (atoms.species[atom] < 0) continue;
    check_list(host, atom);
    atoms.centres.push_back(centre);
  }
  return atoms;
}

}  // namespace atomcore
