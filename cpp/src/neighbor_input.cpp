#include "src/neighbor_input.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "math/cell.hpp"
#include "src/error.hpp"
#include "src/lattice.hpp"

namespace atomcore {
namespace {

constexpr double kLargest = 1e100;        // Angstrom: squares and volumes stay far from overflow
constexpr double kSmallestRatio = 1e-12;  // volume over the product of the lengths
constexpr double kLargestShift = 2e9;     // leaves room for the jumps that VerletList follows
constexpr std::size_t kFew = 100;         // atoms, whose pairs need no estimate

[[noreturn]] void refuse(const std::string& text) { throw Error(ErrorCode::invalid_value, text); }

std::string number(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", x);
  return text;
}

std::string of_structure(std::size_t s, std::size_t n_structures) {
  return n_structures > 1 ? " of structure " + std::to_string(s) : "";
}

// Fills `completed` on the way.
void check_cell(const double* cell, const std::uint8_t* pbc, const std::string& where, double* completed) {
  double unit[9];
  bool periodic[3];
  for (int k = 0; k < 3; ++k) {
    for (int x = 0; x < 3; ++x)
      if (!sensible(cell[3 * k + x]))
        refuse("cell" + where + " must be finite and at most 1e100 A, got " + number(cell[3 * k + x]) + " at [" +
               std::to_string(k) + ", " + std::to_string(x) + "]");
    periodic[k] = pbc[k] != 0;
    const double length = std::hypot(cell[3 * k], cell[3 * k + 1], cell[3 * k + 2]);
    if (periodic[k] && !(length > 1.0 / kLargest))
      refuse("cell" + where + ": lattice vector " + std::to_string(k) + " is zero, but pbc[" + std::to_string(k) +
             "] is true");
    for (int x = 0; x < 3; ++x) unit[3 * k + x] = periodic[k] ? cell[3 * k + x] / length : 0.0;
  }
  math::complete_cell(unit, periodic, completed);
  const double ratio = std::abs(math::determinant(completed));
  if (!(ratio > kSmallestRatio))
    refuse("cell" + where + " is singular: the lattice vectors of its periodic axes are linearly dependent (volume " +
           number(ratio) + " relative to their lengths)");
  math::complete_cell(cell, periodic, completed);
}

// Shifts fit into 32 bits: |S_k| is at most the difference of two fractional coordinates, each bounded by |r| / height,
// plus cutoff / height. The same bound keeps the integers of the lattice reduction far from overflow.
void check_shifts(span<const double> positions, const double* completed, const std::uint8_t* pbc, double cutoff,
                  const std::string& where) {
  if (!pbc[0] && !pbc[1] && !pbc[2]) return;
  double dual[9], heights[3], farthest = 0.0;
  math::dual_vectors(completed, dual);
  math::face_heights(dual, heights);
  for (std::size_t i = 0; i < positions.size(); i += 3) farthest = std::max(farthest, math::norm(&positions[i]));
  for (int k = 0; k < 3; ++k) {
    const double shift = (2.0 * farthest + cutoff) / heights[k] + 1.0;
    if (pbc[k] && !(shift <= kLargestShift))
      refuse("positions, cell and cutoff" + where + " may need image shifts of up to " + number(shift) +
             " along axis " + std::to_string(k) + "; at most " + number(kLargestShift) +
             " are supported: wrap the positions into the cell or use a smaller cutoff");
  }
}

}  // namespace

bool sensible(double x) { return std::abs(x) <= kLargest; }  // written so that NaN fails

void check_size(const char* name, std::size_t size, std::size_t expected) {
  if (size != expected)
    refuse(std::string(name) + " must hold " + std::to_string(expected) + " numbers, got " + std::to_string(size));
}

void check_positions(span<const double> positions) {
  for (std::size_t i = 0; i < positions.size(); ++i)
    if (!sensible(positions[i]))
      refuse("positions must be finite and at most 1e100 A, got " + number(positions[i]) + " at [" +
             std::to_string(i / 3) + ", " + std::to_string(i % 3) + "]");
}

void check_structure_ptr(span<const std::int64_t> structure_ptr, std::int64_t n_atoms) {
  if (structure_ptr.empty() || structure_ptr[0] != 0) refuse("structure_ptr must start with 0");
  for (std::size_t s = 1; s < structure_ptr.size(); ++s)
    if (structure_ptr[s] < structure_ptr[s - 1])
      refuse("structure_ptr must not descend, got " + std::to_string(structure_ptr[s]) + " after " +
             std::to_string(structure_ptr[s - 1]) + " at index " + std::to_string(s));
  const std::int64_t last = structure_ptr[structure_ptr.size() - 1];
  if (last != n_atoms)
    refuse("structure_ptr must end with the number of atoms, " + std::to_string(n_atoms) + ", got " +
           std::to_string(last));
}

void check_neighbor_input(span<const double> positions, span<const double> cells, span<const std::uint8_t> pbc,
                          span<const std::int64_t> structure_ptr, double cutoff, double bytes_per_pair) {
  if (!(cutoff > 0.0) || !(cutoff >= 1.0 / kLargest) || !sensible(cutoff))
    refuse("cutoff must be positive and finite, got " + number(cutoff));
  check_structure_ptr(structure_ptr, static_cast<std::int64_t>(positions.size() / 3));
  const std::size_t n_structures = structure_ptr.size() - 1;
  check_size("cells", cells.size(), 9 * n_structures);
  check_size("pbc", pbc.size(), 3 * n_structures);
  check_positions(positions);
  double pairs = 0.0;
  for (std::size_t s = 0; s < n_structures; ++s) {
    const auto first = static_cast<std::size_t>(structure_ptr[s]),
               last = static_cast<std::size_t>(structure_ptr[s + 1]);
    const span<const double> mine(positions.data() + 3 * first, 3 * (last - first));
    const std::string where = of_structure(s, n_structures);
    double completed[9];
    check_cell(&cells[9 * s], &pbc[3 * s], where, completed);
    check_shifts(mine, completed, &pbc[3 * s], cutoff, where);
    const std::size_t n = last - first;
    const bool open = !pbc[3 * s] && !pbc[3 * s + 1] && !pbc[3 * s + 2];
    if (open && n <= kFew)
      pairs += static_cast<double>(n * n);
    else
      pairs += estimate_pairs(mine, reduce_lattice(&cells[9 * s], &pbc[3 * s]), cutoff);
  }
  check_pair_count_here(pairs, bytes_per_pair);
}

void check_edges(span<const std::int64_t> structure_ptr, span<const std::int64_t> row_ptr,
                 span<const std::int64_t> neighbor, span<const std::int32_t> shift) {
  const auto n_edges = static_cast<std::int64_t>(neighbor.size());
  check_structure_ptr(structure_ptr, static_cast<std::int64_t>(row_ptr.size()) - 1);
  check_size("shift", shift.size(), 3 * neighbor.size());
  for (std::size_t i = 1; i < row_ptr.size(); ++i)
    if (row_ptr[i] < row_ptr[i - 1]) refuse("row_ptr must not descend, but does at index " + std::to_string(i));
  if (row_ptr[0] != 0 || row_ptr[row_ptr.size() - 1] != n_edges)
    refuse("row_ptr must run from 0 to the number of edges, " + std::to_string(n_edges));
  for (std::size_t s = 0; s + 1 < structure_ptr.size(); ++s) {
    const std::int64_t first = structure_ptr[s], last = structure_ptr[s + 1];
    const auto begin = static_cast<std::size_t>(row_ptr[static_cast<std::size_t>(first)]);
    const auto end = static_cast<std::size_t>(row_ptr[static_cast<std::size_t>(last)]);
    bool inside = true;  // no early exit: the compiler vectorises the scan
    for (std::size_t e = begin; e < end; ++e) inside &= neighbor[e] >= first && neighbor[e] < last;
    if (!inside)
      refuse("neighbor must name atoms of the centre's structure, but structure " + std::to_string(s) +
             " has an edge to an atom outside " + std::to_string(first) + " to " + std::to_string(last - 1));
  }
}

}  // namespace atomcore
