// The one molecule, or the one crystal, that a molecular model is of: its elements in their order, and its cell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/evaluation.hpp"

namespace atomcore {

class Molecule {
 public:
  // `lattice` [3, 3] are lattice vectors as rows, or nothing.
  Molecule(std::vector<std::int32_t> numbers, std::vector<double> lattice);

  std::size_t size() const { return numbers_.size(); }

  // Throws Error(invalid_value) in words where a structure is not this one: another number of atoms, other elements or
  // the same in another order, another cell, periodicity that the model has or has not, positions that are not finite.
  void check(const Structure& structure) const;

 private:
  void check_elements(span<const std::int32_t> numbers) const;
  void check_cell(const Structure& structure) const;

  std::vector<std::int32_t> numbers_;
  std::vector<double> lattice_;
};

// "C 2, H 6, O 1", of atomic numbers
std::string composition(span<const std::int32_t> numbers);

}  // namespace atomcore
