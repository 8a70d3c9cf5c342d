#include "src/molecule.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include "src/elements.hpp"
#include "src/error.hpp"
#include "src/neighbor_input.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kListed = 30;      // atoms that a message lists
constexpr double kCellTolerance = 1e-6;  // Angstrom, that each component of a lattice vector may differ

[[noreturn]] void invalid(const std::string& what) { throw Error(ErrorCode::invalid_value, what); }

std::string symbol(std::int32_t number) {
  if (number >= 1 && number <= kElementCount) return kElementSymbols[number];
  return "the atomic number " + std::to_string(number);
}

std::string in_order(span<const std::int32_t> numbers) {
  std::string text;
  for (std::size_t i = 0; i < std::min(numbers.size(), kListed); ++i) text += (i > 0 ? " " : "") + symbol(numbers[i]);
  return text + (numbers.size() > kListed ? " ..." : "");
}

std::string length(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", x);
  return text;
}

}  // namespace

std::string composition(span<const std::int32_t> numbers) {
  std::map<std::int32_t, int> counts;
  for (const std::int32_t number : numbers) ++counts[number];
  std::string text;
  for (const auto& [number, count] : counts)
    text += (text.empty() ? "" : ", ") + symbol(number) + " " + std::to_string(count);
  return text;
}

Molecule::Molecule(std::vector<std::int32_t> numbers, std::vector<double> lattice)
    : numbers_(std::move(numbers)), lattice_(std::move(lattice)) {}

void Molecule::check(const Structure& structure) const {
  check_elements(structure.numbers);
  check_size("positions", structure.positions.size(), 3 * numbers_.size());
  check_positions(structure.positions);
  check_cell(structure);
}

void Molecule::check_elements(span<const std::int32_t> numbers) const {
  const std::string accepted = "; the model is of these atoms, in this order: " + in_order(numbers_);
  if (numbers.size() != numbers_.size())
    invalid("numbers: the structure has " + std::to_string(numbers.size()) + " atoms (" + composition(numbers) +
            ") where the model has " + std::to_string(numbers_.size()) + accepted);
  const auto [mine, other] = std::mismatch(numbers_.begin(), numbers_.end(), numbers.begin());
  if (mine == numbers_.end()) return;
  std::vector<std::int32_t> a(numbers_), b(numbers.begin(), numbers.end());
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  invalid("numbers: atom " + std::to_string(mine - numbers_.begin()) + " is " + symbol(*other) +
          " where the model has " + symbol(*mine) +
          (a == b ? " (the same atoms in another order: sort them as the model has them)" : "") + accepted);
}

void Molecule::check_cell(const Structure& structure) const {
  const bool periodic = std::any_of(structure.pbc.begin(), structure.pbc.end(), [](auto p) { return p != 0; });
  const bool in_all = std::all_of(structure.pbc.begin(), structure.pbc.end(), [](auto p) { return p != 0; });
  if (lattice_.empty()) {
    if (periodic)
      invalid("pbc: the model is of a molecule that is not periodic; accepted: pbc false, the molecule in one piece");
    return;
  }
  if (!in_all) invalid("pbc: the model is of a crystal; accepted: pbc true in all three directions");
  for (std::size_t k = 0; k < 9; ++k)
    if (!(std::abs(structure.cell[k] - lattice_[k]) <= kCellTolerance))
      invalid("cell: entry [" + std::to_string(k / 3) + ", " + std::to_string(k % 3) + "] is " +
              length(structure.cell[k]) + " A where the model has " + length(lattice_[k]) +
              "; the model is of one cell, which structures must have within 1e-6 A");
}

}  // namespace atomcore
