// Layer 1: everything that may be a neighbour of a block of centres, in the order in which rows list it. What is sorted
// once for a block need not be sorted in its rows.
#pragma once

#include <cstdint>
#include <vector>

#include "src/cell_grid.hpp"
#include "src/pair_kernels.hpp"

namespace atomcore::cpu {

// The workspace of one thread.
class CandidateBlock {
 public:
  CandidateBlock(const Batch& batch, const CellGrids& grids, double cutoff);

  // Collects the candidates of a block in any order, which is enough to count neighbours ...
  void gather(const CentreBlock& block);
  // ... or by atom and shift, and makes candidates().
  void gather_sorted(const CentreBlock& block);

  // What surrounds the centre at a place of the block, itself left out. Holds until the next call.
  const Surroundings& around(std::int64_t place);
  const float* point(std::int64_t place) const { return &points_[static_cast<std::size_t>(3 * (place - first_))]; }
  const Centre& centre(std::int64_t place);  // holds until the next call
  Candidate candidate(std::int32_t k) const;
  const Candidate* candidates() const { return candidates_.data(); }
  std::int64_t count() const { return surroundings_.count; }

 private:
  struct Image {
    std::int64_t cell[3];  // which of the reduced lattice
    double translation[3];
    std::int32_t turns[3];
  };
  void measure(const CentreBlock& block, const CellGrid& grid);
  void list_images(const CellGrid& grid, const std::int64_t (&low)[3], const std::int64_t (&high)[3]);
  void collect(const CentreBlock& block);
  void add_run(std::int64_t begin, std::int64_t end, std::int32_t image);
  void sort();
  void set_points();
  void make_candidate(std::size_t k, Candidate& to) const;

  const Batch& batch_;
  const CellGrids& grids_;
  const double cutoff_;
  Centre centre_{};
  const double* cell_ = nullptr;       // of the block's structure
  std::int32_t wrap_[3] = {};          // of the first centre, which candidates are counted from
  std::int64_t first_ = 0, last_ = 0;  // places of the centres
  Vicinity vicinity_{};                // of the wrapped centres; gives points
  Surroundings surroundings_{};
  std::vector<Image> images_;        // ascending by turns
  std::vector<std::int64_t> place_;  // [count] of each candidate, and a pack
  std::vector<std::int32_t> image_;  // [count]
  std::vector<double> u_[3];         // [count] points in the order they were collected, and a pack
  std::vector<float> x_, y_, z_;     // [count] points, and a pack
  std::vector<float> points_;        // [centres, 3]
  std::vector<std::int32_t> own_;    // [centres] which candidate each centre is
  std::int32_t hidden_ = -1;         // the candidate left out, and where it is
  float hidden_x_ = 0.0f;
  bool sorted_ = false;                           // otherwise candidates are in the order they were collected
  std::vector<std::uint64_t> keys_, other_keys_;  // [count] atom and place in that order
  std::vector<std::int32_t> rank_;                // [count] where each has gone
  std::vector<Candidate> candidates_;
};

}  // namespace atomcore::cpu
