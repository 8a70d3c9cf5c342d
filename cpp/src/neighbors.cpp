// The atoms are sorted into bins. Neighbouring centres form blocks, and each block collects what may be near it, once.
// Centres then pick their neighbours in single precision, which may pick a few too many: those that lie as close to the
// cutoff as single precision cannot tell are measured again in double, with the arithmetic of edge_vectors, and that
// alone decides. The list is gone through twice, to count and to write it, so that it needs no memory but its own.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "math/cell.hpp"
#include "src/candidate_block.hpp"
#include "src/interrupt.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_search.hpp"
#include "src/parallel.hpp"
#include "src/row_buffer.hpp"
#include "src/small_search.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kBlocksWorthAThread = 12;
constexpr std::int64_t kAsking = 64;  // centres, after which the user may have had enough

// Lists that caches cannot hold are written past them.
constexpr std::int64_t kStreamedBytes = std::int64_t{4} << 20;

}  // namespace

// One thread's part of the search.
class NeighborSearch::Blocks {
 public:
  Blocks(const Batch& batch, const CellGrids& grids, double cutoff, double squared_cutoff)
      : batch_(batch), grids_(grids), squared_cutoff_(squared_cutoff), around_(batch, grids, cutoff) {}

  // How many neighbours each centre of the block has, to n[atom].
  void count(const CentreBlock& block, std::int64_t* n, Interruptible& user) {
    // A single block is kept until it is written.
    if (grids_.blocks.size() == 1)
      around_.gather_sorted(block);
    else
      around_.gather(block);
    make_room();
    for (std::int64_t place = block.first; place < block.last; ++place) {
      if ((place - block.first) % kAsking == 0) user.check();
      std::int64_t n_unsure = 0;
      const std::int64_t certain =
          kernels_.count_near(around_.around(place), around_.point(place), found_.data(), &n_unsure);
      n[grids_.atoms[static_cast<std::size_t>(place)].atom] = certain + keep_near(block, place, n_unsure);
    }
  }

  void write(const CentreBlock& block, const std::int64_t* row_ptr, RowBuffer& rows, Interruptible& user) {
    // Of atoms in random order the rows are anywhere: they are found while candidates are collected.
    for (std::int64_t place = block.first; place < block.last; ++place)
      __builtin_prefetch(row_ptr + grids_.atoms[static_cast<std::size_t>(place)].atom);
    if (grids_.blocks.size() > 1) around_.gather_sorted(block);
    make_room();
    for (std::int64_t place = block.first; place < block.last; ++place) {
      if ((place - block.first) % kAsking == 0) user.check();
      const Centre& centre = around_.centre(place);
      const std::int64_t start = row_ptr[centre.atom], length = row_ptr[centre.atom + 1] - start;
      const std::int64_t n = kernels_.find_near(around_.around(place), around_.point(place), found_.data());
      if (n != length) keep_near(block, place, n);
      kernels_.write_row(centre, around_.candidates(), found_.data(), length, rows.row(start, length));
      rows.keep(length);
    }
  }

 private:
  void make_room() {
    const auto n = static_cast<std::size_t>(around_.count());
    if (found_.size() < n + kMostLanes) found_.resize(2 * n + kMostLanes);
  }

  // Keeps those of found_[n] that lie within the cutoff of the centre. Returns how many.
  std::int64_t keep_near(const CentreBlock& block, std::int64_t place, std::int64_t n) {
    if (n == 0) return 0;
    const Centre& centre = around_.centre(place);
    const double* const cell = batch_.cells.data() + 9 * block.structure;
    std::int64_t kept = 0;
    for (std::int64_t m = 0; m < n; ++m) {
      const std::int32_t k = found_[static_cast<std::size_t>(m)];
      const Candidate candidate = around_.candidate(k);
      double shift[3];
      for (int x = 0; x < 3; ++x) shift[x] = static_cast<double>(candidate.turns[x] + centre.turns[x]);
      const auto D = math::edge_vector(centre.position, candidate.position, cell, shift[0], shift[1], shift[2]);
      if (math::dot(D, D) < squared_cutoff_) found_[static_cast<std::size_t>(kept++)] = k;
    }
    return kept;
  }

  const Batch& batch_;
  const CellGrids& grids_;
  const double squared_cutoff_;
  CandidateBlock around_;
  const PairKernels& kernels_ = pair_kernels();
  std::vector<std::int32_t> found_;
};

double exact_square(double cutoff) {
  double x = cutoff * cutoff;
  while (std::sqrt(x) >= cutoff) x = std::nextafter(x, 0.0);
  while (std::sqrt(x) < cutoff) x = std::nextafter(x, std::numeric_limits<double>::infinity());
  return x;
}

NeighborSearch::NeighborSearch(const Batch& batch, double cutoff, int n_threads)
    : cutoff_(cutoff), squared_cutoff_(exact_square(cutoff)), n_threads_(n_threads), batch_(batch) {
  if (is_small(batch_)) return;
  grids_ = std::make_unique<const CellGrids>(batch_, cutoff, n_threads);
  first_ = std::make_unique<Blocks>(batch_, *grids_, cutoff_, squared_cutoff_);
}

NeighborSearch::~NeighborSearch() = default;

// Calls body(workspace, first block, last block) in the threads.
template <typename Body>
void NeighborSearch::for_blocks(const Body& body) const {
  const auto n_blocks = static_cast<std::int64_t>(grids_->blocks.size());
  parallel_for(n_blocks, n_threads_, kBlocksWorthAThread, [&](std::int64_t begin, std::int64_t end) {
    if (begin == 0) return body(*first_, begin, end);
    Blocks own(batch_, *grids_, cutoff_, squared_cutoff_);
    body(own, begin, end);
  });
}

void NeighborSearch::count(std::int64_t* row_ptr, double bytes_per_pair) const {
  Interruptible user;
  row_ptr[0] = 0;
  if (!grids_) {
    count_small(batch_, squared_cutoff_, n_threads_, row_ptr + 1);
  } else {
    for_blocks([&](Blocks& blocks, std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b)
        blocks.count(grids_->blocks[static_cast<std::size_t>(b)], row_ptr + 1, user);
    });
  }
  const std::int64_t n_atoms = batch_.n_atoms();
  for (std::int64_t i = 0; i < n_atoms; ++i) row_ptr[i + 1] += row_ptr[i];
  check_pair_count_here(static_cast<double>(row_ptr[n_atoms]), bytes_per_pair);
}

void NeighborSearch::write(const std::int64_t* row_ptr, const RowArrays& list) const {
  if (!grids_) return write_small(batch_, squared_cutoff_, n_threads_, row_ptr, list);
  const bool streamed = row_ptr[batch_.n_atoms()] * bytes_per_pair(list) > kStreamedBytes;
  Interruptible user;
  for_blocks([&](Blocks& blocks, std::int64_t begin, std::int64_t end) {
    RowBuffer rows(list, streamed);
    for (std::int64_t b = begin; b < end; ++b)
      blocks.write(grids_->blocks[static_cast<std::size_t>(b)], row_ptr, rows, user);
    rows.flush();
    if (streamed) pair_kernels().finish_streams();
  });
}

NeighborList neighbor_list(span<const double> positions, span<const double> cells, span<const std::uint8_t> pbc,
                           span<const std::int64_t> structure_ptr, double cutoff, int n_threads) {
  const NeighborSearch search({positions, cells, pbc, structure_ptr}, cutoff, n_threads);
  NeighborList list;
  list.row_ptr.resize(positions.size() / 3 + 1);
  search.count(list.row_ptr.data());
  const auto n_pairs = static_cast<std::size_t>(list.row_ptr.back());
  list.neighbor.resize(n_pairs);
  list.shift.resize(3 * n_pairs);
  RowArrays arrays{};
  arrays.neighbor = list.neighbor.data();
  arrays.shift = list.shift.data();
  search.write(list.row_ptr.data(), arrays);
  return list;
}

}  // namespace atomcore::cpu
