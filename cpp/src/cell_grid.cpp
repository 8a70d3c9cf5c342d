#include "src/cell_grid.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "math/cell.hpp"

namespace atomcore {
namespace {

constexpr std::int64_t kBruteForce = 48;  // up to here bins cost more than they save: one bin, all pairs
constexpr double kBinsPerCutoff = 2.0;    // finer bins enclose the sphere more tightly, but there are more of them
constexpr double kAtomsPerBin = 2.0;      // no more bins than this: keeps memory linear in a sparse gas
constexpr double kFlat = 1e-12;           // an open axis no longer than this many cutoffs is not divided
constexpr double kRounding = 64.0;        // roundings of one unit in the last place that a distance may suffer

// How far a distance computed from wrapped positions can be from the one computed from the original positions.
double rounding_slack(span<const double> positions, const double* cell, const Lattice& lattice, double cutoff) {
  double farthest = 0.0;
  for (double x : positions) farthest = std::max(farthest, std::abs(x));
  double size = farthest + cutoff;
  double completed[9], dual[9], heights[3];
  math::complete_cell(cell, lattice.periodic, completed);
  math::dual_vectors(completed, dual);
  math::face_heights(dual, heights);
  for (int k = 0; k < 3; ++k) {
    if (!lattice.periodic[k]) continue;
    // |S_k| <= 2 farthest / height + cutoff / height + 1, each times a vector this long
    const double length = math::norm(cell + 3 * k);
    size += (2.0 * farthest + cutoff + heights[k]) * (length / heights[k]);
  }
  return kRounding * std::numeric_limits<double>::epsilon() * size;
}

// Wraps along periodic axes. Leaves fractional coordinates in bin_coordinate.
void wrap_positions(span<const double> positions, CellGrid& grid) {
  const Lattice& lattice = grid.lattice;
  const std::size_t n = positions.size() / 3;
  grid.bin_coordinate.resize(3 * n);
  grid.wrap.assign(3 * n, 0);
  grid.wrapped.assign(positions.begin(), positions.end());
  for (std::size_t i = 0; i < n; ++i) {
    for (int k = 0; k < 3; ++k) {
      double f = math::dot(&positions[3 * i], lattice.dual + 3 * k);
      if (lattice.periodic[k]) {
        const double turns = std::floor(f);
        f -= turns;
        for (int x = 0; x < 3; ++x) {
          grid.wrapped[3 * i + x] -= turns * lattice.vectors[3 * k + x];
          grid.wrap[3 * i + x] += static_cast<std::int64_t>(turns) * lattice.combination[3 * k + x];
        }
      }
      grid.bin_coordinate[3 * i + k] = f;
    }
  }
}

// How long each axis is: the height of the cell, or of the box around the atoms. Sets origin.
void measure(CellGrid& grid, double (&extent)[3]) {
  const std::size_t n = grid.wrapped.size() / 3;
  for (int k = 0; k < 3; ++k) {
    grid.origin[k] = 0.0;
    extent[k] = grid.lattice.heights[k];
    if (grid.lattice.periodic[k]) continue;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (std::size_t i = 0; i < n; ++i) {
      low = std::min(low, grid.bin_coordinate[3 * i + k]);
      high = std::max(high, grid.bin_coordinate[3 * i + k]);
    }
    grid.origin[k] = n > 0 ? low : 0.0;
    extent[k] = n > 0 ? high - low : 0.0;
  }
}

void choose_bins(CellGrid& grid) {
  const auto n = static_cast<std::int64_t>(grid.wrapped.size() / 3);
  double extent[3], bins[3] = {1.0, 1.0, 1.0};
  measure(grid, extent);
  if (n > kBruteForce) {
    const double width = grid.candidate_cutoff / kBinsPerCutoff;
    const double most = static_cast<double>(n) / kAtomsPerBin;
    for (int k = 0; k < 3; ++k) bins[k] = std::clamp(std::floor(extent[k] / width), 1.0, most);
    while (bins[0] * bins[1] * bins[2] > most) {
      double& largest = *std::max_element(bins, bins + 3);
      largest = std::ceil(largest / 2.0);
    }
  }
  for (int k = 0; k < 3; ++k) {
    grid.n_bins[k] = static_cast<std::int64_t>(bins[k]);
    grid.per_unit[k] = grid.reach[k] = 0.0;
    const bool periodic = grid.lattice.periodic[k];
    if (!periodic && !(extent[k] > kFlat * grid.candidate_cutoff)) continue;  // bins per length could overflow
    grid.per_unit[k] = bins[k] / (periodic ? 1.0 : extent[k]);                // of the coordinate
    grid.reach[k] = grid.candidate_cutoff * (bins[k] / extent[k]);
  }
}

// Counting sort, which keeps the order of atoms within a bin.
void sort_into_bins(CellGrid& grid) {
  const std::size_t n = grid.wrapped.size() / 3;
  grid.bin_start.assign(static_cast<std::size_t>(grid.n_bins[0] * grid.n_bins[1] * grid.n_bins[2]) + 1, 0);
  std::vector<std::size_t> bin(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t index = 0;
    for (int k = 0; k < 3; ++k) {
      double& u = grid.bin_coordinate[3 * i + k];
      u = (u - grid.origin[k]) * grid.per_unit[k];
      const auto last = grid.n_bins[k] - 1;  // a coordinate may round up to the far face
      index = index * grid.n_bins[k] + std::clamp<std::int64_t>(static_cast<std::int64_t>(u), 0, last);
    }
    bin[i] = static_cast<std::size_t>(index);
    ++grid.bin_start[bin[i] + 1];
  }
  for (std::size_t b = 1; b < grid.bin_start.size(); ++b) grid.bin_start[b] += grid.bin_start[b - 1];
  std::vector<std::int64_t> next(grid.bin_start.begin(), grid.bin_start.end() - 1);
  grid.atom.resize(n);
  grid.x.resize(n);
  grid.y.resize(n);
  grid.z.resize(n);
  grid.wrap_sorted.resize(3 * n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto p = static_cast<std::size_t>(next[bin[i]]++);
    grid.atom[p] = static_cast<std::int64_t>(i);
    grid.x[p] = grid.wrapped[3 * i];
    grid.y[p] = grid.wrapped[3 * i + 1];
    grid.z[p] = grid.wrapped[3 * i + 2];
    for (int x = 0; x < 3; ++x) grid.wrap_sorted[3 * p + x] = grid.wrap[3 * i + x];
  }
}

}  // namespace

CellGrid make_cell_grid(span<const double> positions, const double* cell, const std::uint8_t* pbc, double cutoff) {
  CellGrid grid{};
  grid.lattice = reduce_lattice(cell, pbc);
  grid.candidate_cutoff = cutoff + rounding_slack(positions, cell, grid.lattice, cutoff);
  wrap_positions(positions, grid);
  choose_bins(grid);
  sort_into_bins(grid);
  return grid;
}

}  // namespace atomcore
