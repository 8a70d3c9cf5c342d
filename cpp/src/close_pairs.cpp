#include "src/close_pairs.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "math/cell.hpp"
#include "src/elements.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_input.hpp"

namespace atomcore {
namespace {

constexpr double kSkin = 1.0;  // Angstrom

}  // namespace

std::string atom_name(const MdSystem& system, std::size_t atom) {
  return "atom " + std::to_string(atom) + " (" + kElementSymbols[system.numbers[atom]] + ")";
}

std::string short_number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

ClosePairs::ClosePairs(std::vector<double> radii)
    : radii_(std::move(radii)), cutoff_(2.0 * *std::max_element(radii_.begin(), radii_.end()) + kSkin) {}

bool ClosePairs::moved(const std::vector<double>& positions) const {
  if (reference_.empty()) return true;
  double most = 0.0;
  for (std::size_t i = 0; i < positions.size(); i += 3) {
    const auto d = math::load(&positions[i]) - math::load(&reference_[i]);
    most = std::max(most, math::dot(d, d));
  }
  return 4.0 * most > kSkin * kSkin;
}

void ClosePairs::search(const std::vector<double>& positions, const MdSystem& system, int n_threads) {
  const std::vector<std::int64_t> structure_ptr = {0, static_cast<std::int64_t>(radii_.size())};
  const span<const double> cell(system.cell.data(), 9);
  const span<const std::uint8_t> pbc(system.pbc.data(), 3);
  check_neighbor_input(positions, cell, pbc, structure_ptr, cutoff_);
  const auto list = cpu::neighbor_list(positions, cell, pbc, structure_ptr, cutoff_, n_threads);
  pairs_.clear();
  for (std::size_t i = 0; i < radii_.size(); ++i)
    for (auto e = static_cast<std::size_t>(list.row_ptr[i]); e < static_cast<std::size_t>(list.row_ptr[i + 1]); ++e) {
      const auto j = static_cast<std::size_t>(list.neighbor[e]);
      const std::int32_t* s = &list.shift[3 * e];
      if (i <= j) pairs_.push_back({i, j, {double(s[0]), double(s[1]), double(s[2])}});
    }
  reference_ = positions;
}

std::string ClosePairs::fault(const std::vector<double>& positions, const MdSystem& system, int n_threads) {
  if (moved(positions)) search(positions, system, n_threads);
  double closest = 0.0, distance = 0.0;
  const Pair* worst = nullptr;
  for (const Pair& pair : pairs_) {
    const auto d = math::edge_vector(&positions[3 * pair.i], &positions[3 * pair.j], system.cell.data(), pair.shift[0],
                                     pair.shift[1], pair.shift[2]);
    const double allowed = radii_[pair.i] + radii_[pair.j], squared = math::dot(d, d);
    if (squared >= allowed * allowed) continue;
    if (const double gap = std::sqrt(squared) - allowed; gap < closest)
      closest = gap, distance = std::sqrt(squared), worst = &pair;
  }
  if (worst == nullptr) return "";
  return atom_name(system, worst->i) + " and " + atom_name(system, worst->j) + " are " + short_number(distance) +
         " A apart";
}

}  // namespace atomcore
