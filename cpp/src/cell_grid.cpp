#include "src/cell_grid.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "math/cell.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {

// One structure while it is sorted; the workspace of one thread.
struct CellGrids::Sorting {
  span<const double> positions;    // [n, 3]
  std::vector<double> wrapped;     // [n, 3]
  std::vector<double> coordinate;  // [n, 3] along the reduced lattice: fractions of periodic, lengths on open axes
  std::vector<std::int32_t> wrap;  // [n, 3] position = wrapped + wrap . (cell of the user)
  std::vector<std::int32_t> bin;   // [n]
  std::vector<std::int32_t> next;  // [bins]
  double origin[3] = {}, per_unit[3] = {};  // bin coordinate = (coordinate - origin) * per_unit
  std::int64_t n() const { return static_cast<std::int64_t>(positions.size() / 3); }
};

namespace {

using Sorting = CellGrids::Sorting;

constexpr std::int64_t kOneBin = 48;      // up to so many atoms bins cost more than they save: all pairs are tested
constexpr double kMostInBin = 64.0;       // dense systems get bins smaller than the cutoff
constexpr double kAtomsPerBin = 2.0;      // no more bins than this: keeps memory linear in a sparse gas
constexpr std::int64_t kBlockAtoms = 16;  // bins are joined until a block of centres has this many, or the next bin
constexpr std::int64_t kMostJoined = 48;  // would lift it beyond this
constexpr double kFlat = 1e-12;           // an open axis no longer than this many cutoffs is not divided
constexpr double kRounding = 64.0;        // roundings of one unit in the last place that a distance may suffer

void wrap_positions(const Lattice& lattice, Sorting& sorting) {
  const auto n = static_cast<std::size_t>(sorting.n());
  sorting.wrapped.assign(sorting.positions.begin(), sorting.positions.end());
  sorting.wrap.assign(3 * n, 0);
  sorting.coordinate.resize(3 * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (int k = 0; k < 3; ++k) {
      double f = math::dot(&sorting.positions[3 * i], lattice.dual + 3 * k);
      const double turns = lattice.periodic[k] ? std::floor(f) : 0.0;
      if (turns != 0.0) {
        f -= turns;
        for (int x = 0; x < 3; ++x) {
          sorting.wrapped[3 * i + x] -= turns * lattice.vectors[3 * k + x];
          sorting.wrap[3 * i + x] +=
              static_cast<std::int32_t>(static_cast<std::int64_t>(turns) * lattice.combination[3 * k + x]);
        }
      }
      sorting.coordinate[3 * i + k] = f;
    }
  }
}

// How long each axis is: the height of the cell, or of the box around the atoms. Sets origin.
void measure(const Lattice& lattice, Sorting& sorting, double (&extent)[3]) {
  const auto n = static_cast<std::size_t>(sorting.n());
  for (int k = 0; k < 3; ++k) {
    sorting.origin[k] = 0.0;
    extent[k] = lattice.heights[k];
    if (lattice.periodic[k]) continue;
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (std::size_t i = 0; i < n; ++i) {
      low = std::min(low, sorting.coordinate[3 * i + k]);
      high = std::max(high, sorting.coordinate[3 * i + k]);
    }
    sorting.origin[k] = n > 0 ? low : 0.0;
    extent[k] = n > 0 ? high - low : 0.0;
  }
}

void choose_bins(CellGrid& grid, Sorting& sorting) {
  double extent[3] = {grid.lattice.heights[0], grid.lattice.heights[1], grid.lattice.heights[2]};
  double bins[3] = {1.0, 1.0, 1.0};
  const bool one_bin = sorting.n() <= kOneBin;
  if (!one_bin) {
    measure(grid.lattice, sorting, extent);
    const double cutoff = grid.candidate_cutoff;
    double expected = static_cast<double>(sorting.n());  // atoms in a cube as wide as the cutoff
    for (double length : extent) expected *= std::min(1.0, cutoff / length);
    const double width = cutoff * std::min(1.0, std::cbrt(kMostInBin / expected));
    const double most = static_cast<double>(sorting.n()) / kAtomsPerBin;
    for (int k = 0; k < 3; ++k) bins[k] = std::clamp(std::floor(extent[k] / width), 1.0, most);
    while (bins[0] * bins[1] * bins[2] > most) {
      double& largest = *std::max_element(bins, bins + 3);
      largest = std::ceil(largest / 2.0);
    }
  }
  for (int k = 0; k < 3; ++k) {
    grid.n_bins[k] = static_cast<std::int64_t>(bins[k]);
    sorting.per_unit[k] = grid.reach[k] = 0.0;
    const bool periodic = grid.lattice.periodic[k];
    // Bins per length could overflow on a flat open axis; one bin needs none.
    if (!periodic && (one_bin || !(extent[k] > kFlat * grid.candidate_cutoff))) continue;
    sorting.per_unit[k] = bins[k] / (periodic ? 1.0 : extent[k]);
    grid.reach[k] = grid.candidate_cutoff * (bins[k] / extent[k]);
  }
}

// Counting sort, which keeps the order of atoms within a bin. Sets bin_start[0 .. bins] and `next` to where each
// starts.
void assign_bins(const CellGrid& grid, std::int64_t first_atom, Sorting& sorting, std::int32_t* bin_start) {
  const auto n = static_cast<std::size_t>(sorting.n());
  const auto n_bins = static_cast<std::size_t>(grid.n_bins[0] * grid.n_bins[1] * grid.n_bins[2]);
  std::fill_n(bin_start, n_bins + 1, 0);
  sorting.bin.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    std::int64_t index = 0;
    for (int k = 0; k < 3; ++k) {
      const double u = (sorting.coordinate[3 * i + k] - sorting.origin[k]) * sorting.per_unit[k];
      const auto last = grid.n_bins[k] - 1;  // a coordinate may round up to the far face
      index = index * grid.n_bins[k] + std::clamp<std::int64_t>(static_cast<std::int64_t>(u), 0, last);
    }
    sorting.bin[i] = static_cast<std::int32_t>(index);
    ++bin_start[index + 1];
  }
  bin_start[0] = static_cast<std::int32_t>(first_atom);
  for (std::size_t b = 1; b <= n_bins; ++b) bin_start[b] += bin_start[b - 1];
  sorting.next.assign(bin_start, bin_start + n_bins);
}

// Joins the bins of each row along the last axis to blocks.
void append_blocks(const CellGrid& grid, std::int64_t structure, const std::int32_t* bin_start,
                   std::vector<CentreBlock>& blocks) {
  for (std::int64_t b0 = 0; b0 < grid.n_bins[0]; ++b0) {
    for (std::int64_t b1 = 0; b1 < grid.n_bins[1]; ++b1) {
      const std::int32_t* const start = bin_start + (b0 * grid.n_bins[1] + b1) * grid.n_bins[2];
      for (std::int64_t b = 0; b < grid.n_bins[2];) {
        std::int64_t end = b + 1;
        while (end < grid.n_bins[2] && start[end] - start[b] < kBlockAtoms && start[end + 1] - start[b] <= kMostJoined)
          ++end;
        if (start[end] > start[b]) blocks.push_back({structure, start[b], start[end], {b0, b1, b}, {b0, b1, end - 1}});
        b = end;
      }
    }
  }
}

}  // namespace

double rounding_slack(span<const double> positions, const double* cell, const Lattice& lattice, double cutoff) {
  double farthest = 0.0;
  for (double x : positions) farthest = std::max(farthest, std::abs(x));
  double size = farthest + cutoff;
  if (!lattice.periodic[0] && !lattice.periodic[1] && !lattice.periodic[2])
    return kRounding * std::numeric_limits<double>::epsilon() * size;
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

CellGrids::CellGrids(const Batch& batch, double cutoff, int n_threads)
    : grids(static_cast<std::size_t>(batch.n_structures())),
      x(static_cast<std::size_t>(batch.n_atoms()) + kPadding),
      y(x.size()),
      z(x.size()),
      atoms(static_cast<std::size_t>(batch.n_atoms())),
      // A structure of n atoms has at most max(1, n / 2) bins, and one number more than that.
      bin_start(atoms.size() / 2 + 2 * grids.size()) {
  for (const auto* u : {&x, &y, &z}) std::fill(u->end() - kPadding, u->end(), 0.0);
  blocks.reserve(atoms.size() / kBlockAtoms + grids.size());
  parallel_for(batch.n_structures(), n_threads, 8, [&](std::int64_t begin, std::int64_t end) {
    Sorting sorting;
    for (std::int64_t s = begin; s < end; ++s) sort_structure(batch, s, cutoff, sorting);
  });
  for (std::size_t s = 0; s < grids.size(); ++s)
    append_blocks(grids[s], static_cast<std::int64_t>(s), &bin_start[static_cast<std::size_t>(grids[s].first_bin)],
                  blocks);
}

void CellGrids::sort_structure(const Batch& batch, std::int64_t s, double cutoff, Sorting& sorting) {
  const auto u = static_cast<std::size_t>(s);
  const std::int64_t first = batch.structure_ptr[u], n = batch.structure_ptr[u + 1] - first;
  CellGrid& grid = grids[u];
  sorting.positions = {batch.positions.data() + 3 * first, static_cast<std::size_t>(3 * n)};
  grid.lattice = reduce_lattice(batch.cells.data() + 9 * s, batch.pbc.data() + 3 * s);
  grid.candidate_cutoff = cutoff + rounding_slack(sorting.positions, batch.cells.data() + 9 * s, grid.lattice, cutoff);
  grid.first_bin = first / 2 + 2 * s;
  wrap_positions(grid.lattice, sorting);
  choose_bins(grid, sorting);
  assign_bins(grid, first, sorting, &bin_start[static_cast<std::size_t>(grid.first_bin)]);
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    const auto place = static_cast<std::size_t>(sorting.next[static_cast<std::size_t>(sorting.bin[i])]++);
    x[place] = sorting.wrapped[3 * i];
    y[place] = sorting.wrapped[3 * i + 1];
    z[place] = sorting.wrapped[3 * i + 2];
    const double* const r = &sorting.positions[3 * i];
    const std::int32_t* const wrap = &sorting.wrap[3 * i];
    const auto atom = static_cast<std::int32_t>(first + static_cast<std::int64_t>(i));
    atoms[place] = {{r[0], r[1], r[2]}, {wrap[0], wrap[1], wrap[2]}, atom};
  }
}

}  // namespace atomcore::cpu
