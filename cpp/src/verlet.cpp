#include "src/verlet.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "math/cell.hpp"
#include "src/cell_grid.hpp"
#include "src/neighbor_input.hpp"
#include "src/neighbor_search.hpp"
#include "src/parallel.hpp"
#include "src/row_buffer.hpp"

namespace atomcore {
namespace {

constexpr std::int64_t kRowsWorthAThread = 512;
constexpr double kMostTurns = 3e7;  // of an atom: shifts of any list that was searched stay within 32 bits
constexpr double kRoundings = 4.0;  // how many times its rounding errors the test of a list may suffer

void complete(span<const double> cell, const std::uint8_t* pbc, double* completed, double* dual) {
  const bool periodic[3] = {pbc[0] != 0, pbc[1] != 0, pbc[2] != 0};
  math::complete_cell(cell.data(), periodic, completed);
  math::dual_vectors(completed, dual);
}

// F = h^-1 h', so that r F has the fractional coordinates in h' that r has in h.
std::array<double, 9> deformation(const double* dual, const double* cell) {
  std::array<double, 9> F{};
  for (int x = 0; x < 3; ++x)
    for (int y = 0; y < 3; ++y)
      for (int k = 0; k < 3; ++k) F[static_cast<std::size_t>(3 * x + y)] += dual[3 * k + x] * cell[3 * k + y];
  return F;
}

// By how much a vector shrinks at most, and no less: the root of the least eigenvalue of F F^T, in closed form. The
// angle there has half of the digits where two eigenvalues are nearly the same, so that the least comes out wrong by up
// to sqrt(epsilon mean p), which is taken off.
double least_singular_value(const std::array<double, 9>& F) {
  double A[3][3];
  for (int x = 0; x < 3; ++x)
    for (int y = 0; y < 3; ++y)
      A[x][y] = math::dot(&F[static_cast<std::size_t>(3 * x)], &F[static_cast<std::size_t>(3 * y)]);
  const double mean = (A[0][0] + A[1][1] + A[2][2]) / 3.0;
  for (int x = 0; x < 3; ++x) A[x][x] -= mean;
  double squares = 0.0;
  for (const auto& row : A)
    for (const double a : row) squares += a * a;
  const double p = std::sqrt(squares / 6.0);
  if (p == 0.0) return std::sqrt(mean);
  const double cosine = std::clamp(math::determinant(&A[0][0]) / (2.0 * p * p * p), -1.0, 1.0);
  const double least = mean + 2.0 * p * std::cos((std::acos(cosine) + 2.0 * math::kPi) / 3.0);
  const double error = kRoundings * std::sqrt(std::numeric_limits<double>::epsilon() * mean * p);
  return std::sqrt(std::max(least - error, 0.0));
}

}  // namespace

VerletList::VerletList(double cutoff, double skin) : cutoff_(cutoff), skin_(skin) { list_.row_ptr.assign(1, 0); }

bool VerletList::update(span<const double> positions, span<const double> cell, span<const std::uint8_t> pbc,
                        int n_threads) {
  const bool holds = built_ && still_holds(positions, cell, pbc);
  if (holds)
    correct_shifts();
  else
    search(positions, cell, pbc, n_threads);
  remember(positions, cell);
  return !holds;
}

// Written so that a NaN does not hold: the search then refuses it.
bool VerletList::still_holds(span<const double> positions, span<const double> cell, span<const std::uint8_t> pbc) {
  if (positions.size() != built_positions_.size() || cell.size() != 9 || pbc.size() != 3) return false;
  if (!std::equal(pbc.begin(), pbc.end(), built_pbc_)) return false;
  if (!std::all_of(cell.begin(), cell.end(), sensible)) return false;  // also of axes that do not count in what follows
  const bool same_cell = std::equal(cell.begin(), cell.end(), built_cell_);
  next_turns_.assign(positions.size(), 0);
  if (same_cell && std::equal(positions.begin(), positions.end(), built_positions_.begin())) return true;
  double completed[9], dual[9];
  complete(cell, built_pbc_, completed, dual);
  const double shrinkage = same_cell ? 1.0 : least_singular_value(deformation(built_dual_, completed));
  const double slack =
      cpu::rounding_slack(positions, cell.data(), reduce_lattice(cell.data(), built_pbc_), cutoff_ + skin_);
  const double allowance = shrinkage * (cutoff_ + skin_) - cutoff_ - kRoundings * slack;
  return allowance >= 0.0 && follow_atoms(positions, dual, completed, allowance);
}

// Whether no atom has moved by more than half the allowance against the cell. Sets next_turns_.
bool VerletList::follow_atoms(span<const double> positions, const double* dual, const double* cell, double allowance) {
  const double limit = 0.25 * allowance * allowance;
  for (std::size_t i = 0; i < positions.size(); i += 3) {
    double moved[3] = {positions[i], positions[i + 1], positions[i + 2]};
    for (int k = 0; k < 3; ++k) {
      const double f = math::dot(&built_positions_[i], built_dual_ + 3 * k);
      for (int x = 0; x < 3; ++x) moved[x] -= f * cell[3 * k + x];
    }
    double turns[3];
    for (int k = 0; k < 3; ++k) {
      turns[k] = built_pbc_[k] ? std::nearbyint(math::dot(moved, dual + 3 * k)) : 0.0;
      if (!(std::abs(turns[k]) <= kMostTurns)) return false;
      next_turns_[i + static_cast<std::size_t>(k)] = static_cast<std::int32_t>(turns[k]);
    }
    for (int k = 0; k < 3; ++k)
      for (int x = 0; x < 3; ++x) moved[x] -= turns[k] * cell[3 * k + x];
    if (!(math::dot(moved, moved) <= limit)) return false;
  }
  return true;
}

// D does not change when an atom jumps by a lattice vector, so its shift does; the order of a row stays as it is, since
// all shifts to one neighbour change alike.
void VerletList::correct_shifts() {
  if (next_turns_ != turns_) {
    for (std::size_t i = 0; i + 1 < list_.row_ptr.size(); ++i) {
      for (auto e = static_cast<std::size_t>(list_.row_ptr[i]); e < static_cast<std::size_t>(list_.row_ptr[i + 1]);
           ++e) {
        const auto j = static_cast<std::size_t>(list_.neighbor[e]);
        for (std::size_t k = 0; k < 3; ++k)
          list_.shift[3 * e + k] +=
              (next_turns_[3 * i + k] - turns_[3 * i + k]) - (next_turns_[3 * j + k] - turns_[3 * j + k]);
      }
    }
    turns_ = next_turns_;
  }
}

void VerletList::search(span<const double> positions, span<const double> cell, span<const std::uint8_t> pbc,
                        int n_threads) {
  const auto n = static_cast<std::int64_t>(positions.size() / 3);
  const std::int64_t structure_ptr[2] = {0, n};
  check_neighbor_input(positions, cell, pbc, {structure_ptr, 2}, cutoff_ + skin_);
  const cpu::NeighborSearch search({positions, cell, pbc, {structure_ptr, 2}}, cutoff_ + skin_, n_threads);
  built_ = false;
  list_.row_ptr.resize(static_cast<std::size_t>(n) + 1);
  search.count(list_.row_ptr.data());
  list_.neighbor.resize(static_cast<std::size_t>(list_.row_ptr.back()));
  list_.shift.resize(3 * list_.neighbor.size());
  search.write(list_.row_ptr.data(), {nullptr, list_.neighbor.data(), list_.shift.data(), nullptr, nullptr});
  built_positions_.assign(positions.begin(), positions.end());
  std::copy(cell.begin(), cell.end(), built_cell_);
  std::copy(pbc.begin(), pbc.end(), built_pbc_);
  double completed[9];
  complete(cell, built_pbc_, completed, built_dual_);
  turns_.assign(positions.size(), 0);
  built_ = true;
}

void VerletList::remember(span<const double> positions, span<const double> cell) {
  std::copy(cell.begin(), cell.end(), cell_);
  positions_.resize(positions.size() / 3 * 4);
  for (std::size_t i = 0; i < positions.size() / 3; ++i) std::copy_n(&positions[3 * i], 3, &positions_[4 * i]);
}

void VerletList::near(std::int64_t* row_ptr, const cpu::RowArrays& pairs, int n_threads) const {
  const double square = cpu::exact_square(cutoff_);
  const cpu::PossiblePairs possible{positions_.data(), cell_, list_.neighbor.data(), list_.shift.data()};
  const auto measure = [&](std::int64_t i, const cpu::RowArrays& row) {
    return cpu::pair_kernels().measure_row(possible, i, list_.row_ptr[static_cast<std::size_t>(i)],
                                           list_.row_ptr[static_cast<std::size_t>(i) + 1], square, row);
  };
  const std::int64_t n_rows = n_atoms();
  const bool alone = n_threads == 1 || n_rows < 2 * kRowsWorthAThread;  // then rows end where they happen to end
  // Rows [begin, end), from pair row_ptr[begin] on.
  const auto write = [&](std::int64_t begin, std::int64_t end) {
    cpu::RowBuffer rows(pairs, false);
    for (std::int64_t i = begin; i < end; ++i) {
      const auto u = static_cast<std::size_t>(i);
      const std::int64_t start = row_ptr[i];
      const std::int64_t n = measure(i, rows.row(start, list_.row_ptr[u + 1] - list_.row_ptr[u]));
      rows.keep(n);
      if (alone) row_ptr[i + 1] = start + n;
    }
    rows.flush();
  };
  row_ptr[0] = 0;
  if (alone) return write(0, n_rows);
  parallel_for(n_rows, n_threads, kRowsWorthAThread, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) row_ptr[i + 1] = measure(i, {});
  });
  for (std::int64_t i = 0; i < n_rows; ++i) row_ptr[i + 1] += row_ptr[i];
  parallel_for(n_rows, n_threads, kRowsWorthAThread, write);
}

}  // namespace atomcore
