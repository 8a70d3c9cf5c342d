// Every atom j looks for the centres i that it neighbours, image by image, and the edges are then dealt out to the rows
// of the centres with j ascending: rows come out sorted by neighbour without sorting any pair.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "math/cell.hpp"
#include "src/cell_grid.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_size.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

using Shift = std::array<std::int32_t, 3>;  // compares lexicographically

struct Edge {
  std::int32_t centre;  // counted from the first atom of the chunk's first structure
  Shift shift;
};

// What one thread found: the edges of its atoms j in order.
struct Chunk {
  std::int64_t first_atom = 0, last_atom = 0;  // the atoms j
  std::int64_t origin = 0;                     // the first centre they can have
  std::vector<Edge> edges;
  std::vector<std::int64_t> ends;   // [atoms j] where the edges of each end
  std::vector<std::int64_t> count;  // [centres] edges for each, later the place in the list of the next one
};

struct Search {
  const CellGrid& grid;
  span<const double> positions;  // of the structure
  const double* cell;
  double squared_cutoff;
  std::int64_t offset;  // of the structure's first atom from the chunk's origin
  Chunk& chunk;
};

// The least x with sqrt(x) >= cutoff: comparing squares with it decides exactly as comparing the distances would.
double exact_square(double cutoff) {
  double x = cutoff * cutoff;
  while (std::sqrt(x) >= cutoff) x = std::nextafter(x, 0.0);
  while (std::sqrt(x) < cutoff) x = std::nextafter(x, std::numeric_limits<double>::infinity());
  return x;
}

// Tests the atoms [begin, end) of the grid in the image `image` against atom j. `from_j` is the image's translation
// less the position of j, `turns` what the shift of an edge from an atom i is beyond the turns that wrapped i.
void test_run(const Search& s, std::int64_t j, std::int64_t begin, std::int64_t end, const double* from_j,
              const std::int64_t* turns) {
  const CellGrid& grid = s.grid;
  const double limit = grid.candidate_cutoff * grid.candidate_cutoff;
  for (auto p = static_cast<std::size_t>(begin); p < static_cast<std::size_t>(end); ++p) {
    const double candidate[3] = {grid.x[p] + from_j[0], grid.y[p] + from_j[1], grid.z[p] + from_j[2]};
    if (math::dot(candidate, candidate) > limit) continue;
    const std::int64_t i = grid.atom[p];
    Shift shift;
    for (std::size_t x = 0; x < 3; ++x) shift[x] = static_cast<std::int32_t>(grid.wrap_sorted[3 * p + x] + turns[x]);
    if (i == j && shift == Shift{0, 0, 0}) continue;
    const auto D = math::edge_vector(
        &s.positions[3 * static_cast<std::size_t>(i)], &s.positions[3 * static_cast<std::size_t>(j)], s.cell,
        static_cast<double>(shift[0]), static_cast<double>(shift[1]), static_cast<double>(shift[2]));
    if (!(math::dot(D, D) < s.squared_cutoff)) continue;
    s.chunk.edges.push_back({static_cast<std::int32_t>(s.offset + i), shift});
    ++s.chunk.count[static_cast<std::size_t>(s.offset + i)];
  }
}

// A range of bins along one axis, as local bins of one image.
struct AxisRange {
  std::int64_t low, high, n_bins;  // over all images
  std::int64_t first_image() const { return floor_divide(high); }
  std::int64_t last_image() const { return floor_divide(low); }
  std::int64_t begin(std::int64_t image) const { return std::max(low - image * n_bins, std::int64_t{0}); }
  std::int64_t end(std::int64_t image) const { return std::min(high - image * n_bins, n_bins - 1) + 1; }

 private:
  std::int64_t floor_divide(std::int64_t b) const { return b >= 0 ? b / n_bins : -((n_bins - 1 - b) / n_bins); }
};

AxisRange range_around(const CellGrid& grid, std::size_t j, std::size_t k) {
  double low = std::floor(grid.bin_coordinate[3 * j + k] - grid.reach[k]);
  double high = std::floor(grid.bin_coordinate[3 * j + k] + grid.reach[k]);
  if (!grid.lattice.periodic[k]) {
    const auto last = static_cast<double>(grid.n_bins[k] - 1);
    low = std::clamp(low, 0.0, last);
    high = std::clamp(high, 0.0, last);
  }
  return {static_cast<std::int64_t>(low), static_cast<std::int64_t>(high), grid.n_bins[k]};
}

// Images in descending order make the shifts of a centre's edges to j ascend, where the cell needed no reduction.
void search_around(const Search& s, std::int64_t j) {
  const CellGrid& grid = s.grid;
  const auto u = static_cast<std::size_t>(j);
  const AxisRange axis[3] = {range_around(grid, u, 0), range_around(grid, u, 1), range_around(grid, u, 2)};
  std::int64_t n[3];
  for (n[0] = axis[0].first_image(); n[0] >= axis[0].last_image(); --n[0]) {
    for (n[1] = axis[1].first_image(); n[1] >= axis[1].last_image(); --n[1]) {
      for (n[2] = axis[2].first_image(); n[2] >= axis[2].last_image(); --n[2]) {
        double from_j[3];
        std::int64_t turns[3];
        for (std::size_t x = 0; x < 3; ++x) {
          from_j[x] = -grid.wrapped[3 * u + x];
          turns[x] = -grid.wrap[3 * u + x];
          for (std::size_t k = 0; k < 3; ++k) {
            from_j[x] += static_cast<double>(n[k]) * grid.lattice.vectors[3 * k + x];
            turns[x] -= n[k] * grid.lattice.combination[3 * k + x];
          }
        }
        const std::int64_t begin2 = axis[2].begin(n[2]), end2 = axis[2].end(n[2]);
        for (std::int64_t b0 = axis[0].begin(n[0]); b0 < axis[0].end(n[0]); ++b0) {
          for (std::int64_t b1 = axis[1].begin(n[1]); b1 < axis[1].end(n[1]); ++b1) {
            const std::int64_t row = (b0 * grid.n_bins[1] + b1) * grid.n_bins[2];
            test_run(s, j, grid.bin_start[static_cast<std::size_t>(row + begin2)],
                     grid.bin_start[static_cast<std::size_t>(row + end2)], from_j, turns);
          }
        }
      }
    }
  }
}

// The arguments of the kernel, and the parts of them that belong to one structure.
struct Batch {
  span<const double> positions, cells;
  span<const std::uint8_t> pbc;
  span<const std::int64_t> structure_ptr;
  double cutoff;

  std::int64_t n_structures() const { return static_cast<std::int64_t>(structure_ptr.size()) - 1; }
  std::int64_t n_atoms() const { return structure_ptr[structure_ptr.size() - 1]; }
  std::int64_t first(std::int64_t s) const { return structure_ptr[static_cast<std::size_t>(s)]; }
  std::int64_t structure_of(std::int64_t atom) const {
    return std::upper_bound(structure_ptr.begin(), structure_ptr.end(), atom) - structure_ptr.begin() - 1;
  }
  span<const double> positions_of(std::int64_t s) const {
    return {positions.data() + 3 * first(s), static_cast<std::size_t>(3 * (first(s + 1) - first(s)))};
  }
};

std::vector<CellGrid> make_grids(const Batch& batch, int n_threads) {
  std::vector<CellGrid> grids(static_cast<std::size_t>(batch.n_structures()));
  parallel_for(batch.n_structures(), n_threads, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s)
      grids[static_cast<std::size_t>(s)] =
          make_cell_grid(batch.positions_of(s), batch.cells.data() + 9 * s, batch.pbc.data() + 3 * s, batch.cutoff);
  });
  return grids;
}

void fill_chunk(const Batch& batch, const std::vector<CellGrid>& grids, double squared_cutoff, Chunk& chunk) {
  if (chunk.first_atom == chunk.last_atom) return;
  std::int64_t s = batch.structure_of(chunk.first_atom);
  chunk.origin = batch.first(s);
  const std::int64_t last_centre = batch.first(batch.structure_of(chunk.last_atom - 1) + 1);
  chunk.count.assign(static_cast<std::size_t>(last_centre - chunk.origin), 0);
  chunk.ends.reserve(static_cast<std::size_t>(chunk.last_atom - chunk.first_atom));
  for (std::int64_t atom = chunk.first_atom; atom < chunk.last_atom;) {
    while (batch.first(s + 1) <= atom) ++s;  // structures without atoms are passed over
    const Search search{grids[static_cast<std::size_t>(s)], batch.positions_of(s),
                        batch.cells.data() + 9 * s,         squared_cutoff,
                        batch.first(s) - chunk.origin,      chunk};
    for (const std::int64_t end = std::min(chunk.last_atom, batch.first(s + 1)); atom < end; ++atom) {
      search_around(search, atom - batch.first(s));
      chunk.ends.push_back(static_cast<std::int64_t>(chunk.edges.size()));
    }
    check_pair_count(static_cast<double>(chunk.edges.size()), std::numeric_limits<double>::infinity());
  }
}

// Sets row_ptr, and turns every chunk's counts into the places where its edges go: after those of earlier chunks.
void place_rows(std::vector<Chunk>& chunks, std::vector<std::int64_t>& row_ptr) {
  for (const Chunk& chunk : chunks)
    for (std::size_t c = 0; c < chunk.count.size(); ++c)
      row_ptr[static_cast<std::size_t>(chunk.origin) + c + 1] += chunk.count[c];
  for (std::size_t i = 1; i < row_ptr.size(); ++i) row_ptr[i] += row_ptr[i - 1];
  std::vector<std::int64_t> next(row_ptr.begin(), row_ptr.end() - 1);
  for (Chunk& chunk : chunks) {
    for (std::size_t c = 0; c < chunk.count.size(); ++c) {
      std::int64_t& place = next[static_cast<std::size_t>(chunk.origin) + c];
      const std::int64_t count = chunk.count[c];
      chunk.count[c] = place;
      place += count;
    }
  }
}

void deal_out(Chunk& chunk, NeighborList& list) {
  std::size_t e = 0;
  for (std::int64_t j = chunk.first_atom; j < chunk.last_atom; ++j) {
    const auto end = static_cast<std::size_t>(chunk.ends[static_cast<std::size_t>(j - chunk.first_atom)]);
    for (; e < end; ++e) {
      const Edge& edge = chunk.edges[e];
      const auto place = static_cast<std::size_t>(chunk.count[static_cast<std::size_t>(edge.centre)]++);
      list.neighbor[place] = j;
      std::copy(edge.shift.begin(), edge.shift.end(), &list.shift[3 * place]);
    }
  }
}

// Where the cell was reduced, the images of one neighbour may stand in another order than their shifts.
void sort_images(NeighborList& list, std::int64_t first_row, std::int64_t last_row) {
  std::vector<Shift> images;
  for (auto row = static_cast<std::size_t>(first_row); row < static_cast<std::size_t>(last_row); ++row) {
    const auto end = static_cast<std::size_t>(list.row_ptr[row + 1]);
    for (auto e = static_cast<std::size_t>(list.row_ptr[row]); e < end;) {
      std::size_t last = e + 1;
      while (last < end && list.neighbor[last] == list.neighbor[e]) ++last;
      if (last - e > 1) {
        images.resize(last - e);
        for (std::size_t m = 0; m < images.size(); ++m) std::copy_n(&list.shift[3 * (e + m)], 3, images[m].begin());
        if (!std::is_sorted(images.begin(), images.end())) {
          std::sort(images.begin(), images.end());
          for (std::size_t m = 0; m < images.size(); ++m)
            std::copy(images[m].begin(), images[m].end(), &list.shift[3 * (e + m)]);
        }
      }
      e = last;
    }
  }
}

}  // namespace

NeighborList neighbor_list(span<const double> positions, span<const double> cells, span<const std::uint8_t> pbc,
                           span<const std::int64_t> structure_ptr, double cutoff, int n_threads) {
  const Batch batch{positions, cells, pbc, structure_ptr, cutoff};
  const std::int64_t n_atoms = batch.n_atoms();
  const double squared_cutoff = exact_square(cutoff);
  const std::vector<CellGrid> grids = make_grids(batch, n_threads);
  const std::int64_t n_chunks = std::clamp<std::int64_t>(n_atoms / 128, 1, std::max(n_threads, 1));
  std::vector<Chunk> chunks(static_cast<std::size_t>(n_chunks));
  const auto for_chunks = [&](const auto& body) {
    parallel_for(n_chunks, n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; ++c) body(chunks[static_cast<std::size_t>(c)]);
    });
  };
  for (std::int64_t c = 0; c < n_chunks; ++c) {
    chunks[static_cast<std::size_t>(c)].first_atom = n_atoms * c / n_chunks;
    chunks[static_cast<std::size_t>(c)].last_atom = n_atoms * (c + 1) / n_chunks;
  }
  for_chunks([&](Chunk& chunk) { fill_chunk(batch, grids, squared_cutoff, chunk); });
  NeighborList list;
  list.row_ptr.assign(static_cast<std::size_t>(n_atoms) + 1, 0);
  place_rows(chunks, list.row_ptr);
  const std::int64_t n_pairs = list.row_ptr.back();
  check_pair_count(static_cast<double>(n_pairs), std::numeric_limits<double>::infinity());
  list.neighbor.resize(static_cast<std::size_t>(n_pairs));
  list.shift.resize(static_cast<std::size_t>(3 * n_pairs));
  for_chunks([&](Chunk& chunk) { deal_out(chunk, list); });
  parallel_for(n_atoms, n_threads, 512, [&](std::int64_t begin, std::int64_t end) { sort_images(list, begin, end); });
  return list;
}

}  // namespace atomcore::cpu
