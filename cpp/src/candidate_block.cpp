#include "src/candidate_block.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "math/cell.hpp"

namespace atomcore::cpu {
namespace {

constexpr double kHalfUlp = 5.9604644775390625e-08;  // 2^-24
constexpr double kFarthest = 1000.0;                 // cutoffs; single precision tells less and less beyond
constexpr float kOutOfReach = std::numeric_limits<float>::infinity();

std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// Room for `size` elements that are all written before they are read: never shrinks, and seldom grows.
template <typename T>
void make_room(std::vector<T>& v, std::int64_t size) {
  const auto n = static_cast<std::size_t>(size);
  if (v.size() < n) v.resize(n + n / 2);
}

// Sorts n keys by their bits [32, 32 + bits), least significant digits first, which keeps the order of equal ones.
void radix_sort(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& other, std::int64_t n, int bits) {
  constexpr int kMostBits = 9;
  const int passes = std::max(1, (bits + kMostBits - 1) / kMostBits), width = std::max(1, (bits + passes - 1) / passes);
  const std::uint64_t mask = (std::uint64_t{1} << width) - 1;
  std::array<std::uint32_t, 1 << kMostBits> start;
  for (int pass = 0; pass < passes; ++pass) {
    const int low = 32 + pass * width;
    std::fill_n(start.begin(), mask + 1, 0u);
    for (std::int64_t k = 0; k < n; ++k) ++start[keys[static_cast<std::size_t>(k)] >> low & mask];
    std::uint32_t sum = 0;
    for (std::size_t digit = 0; digit <= mask; ++digit) {
      const std::uint32_t count = start[digit];
      start[digit] = sum;
      sum += count;
    }
    for (std::int64_t k = 0; k < n; ++k) {
      const std::uint64_t key = keys[static_cast<std::size_t>(k)];
      other[start[key >> low & mask]++] = key;
    }
    keys.swap(other);
  }
}

}  // namespace

CandidateBlock::CandidateBlock(const Batch& batch, const CellGrids& grids, double cutoff)
    : batch_(batch), grids_(grids), cutoff_(cutoff), kernels_(pair_kernels()) {}

void CandidateBlock::gather(const CentreBlock& block) {
  collect(block);
  locate();
}

void CandidateBlock::gather_sorted(const CentreBlock& block) {
  collect(block);
  sort();
  locate();
  make_room(candidates_, count());
  for (std::size_t k = 0; k < static_cast<std::size_t>(count()); ++k) make_candidate(k, candidates_[k]);
}

const Surroundings& CandidateBlock::around(std::int64_t place) {
  if (hidden_ >= 0) x_[static_cast<std::size_t>(hidden_)] = hidden_x_;
  hidden_ = own_[static_cast<std::size_t>(place - first_)];
  hidden_x_ = x_[static_cast<std::size_t>(hidden_)];
  x_[static_cast<std::size_t>(hidden_)] = kOutOfReach;
  return surroundings_;
}

Centre CandidateBlock::centre(std::int64_t place) const {
  const PlacedAtom& atom = grids_.atoms[static_cast<std::size_t>(place)];
  Centre centre{};
  centre.atom = atom.atom;
  for (int x = 0; x < 3; ++x) {
    centre.position[x] = atom.position[x];
    centre.turns[x] = atom.wrap[x] - wrap_[x];
    for (int k = 0; k < 3; ++k) centre.cell[k][x] = cell_[3 * k + x];
  }
  return centre;
}

Candidate CandidateBlock::candidate(std::int32_t k) const {
  Candidate found;
  make_candidate(static_cast<std::size_t>(k), found);
  return found;
}

// Every number is written where it stays: copying them together would wait for each.
void CandidateBlock::make_candidate(std::size_t k, Candidate& to) const {
  const PlacedAtom& atom = grids_.atoms[static_cast<std::size_t>(place_[k])];
  const Image& image = images_[static_cast<std::size_t>(image_[k])];
  double s[3];
  for (int x = 0; x < 3; ++x) {
    const std::int32_t turns = image.turns[x] - atom.wrap[x] + wrap_[x];
    s[x] = static_cast<double>(turns);
    to.position[x] = atom.position[x];
    to.turns[x] = turns;
  }
  math::store(math::translation(cell_, s[0], s[1], s[2]), to.translation);
  to.position[3] = to.translation[3] = 0.0;
  to.atom = atom.atom;
}

// The box around the centres, and what single precision can decide there. A coordinate of a candidate is at most R from
// the origin, half a unit in the last place of it is kHalfUlp R, and the distance of two points adds up a dozen of such
// errors.
void CandidateBlock::measure(const CentreBlock& block, const CellGrid& grid) {
  first_ = block.first;
  last_ = block.last;
  cell_ = batch_.cells.data() + 9 * block.structure;
  std::copy_n(grids_.atoms[static_cast<std::size_t>(first_)].wrap, 3, wrap_);
  const double* const coordinate[3] = {grids_.x.data(), grids_.y.data(), grids_.z.data()};
  double half = 0.0;
  for (int k = 0; k < 3; ++k) {
    double low = coordinate[k][block.first], high = low;
    for (std::int64_t place = block.first; place < block.last; ++place) {
      low = std::min(low, coordinate[k][place]);
      high = std::max(high, coordinate[k][place]);
    }
    box_.low[k] = low;
    box_.high[k] = high;
    origin_[k] = 0.5 * low + 0.5 * high;
    half = std::max(half, high - origin_[k]);
  }
  square_ = grid.candidate_cutoff * grid.candidate_cutoff;
  const double farthest = (half + grid.candidate_cutoff) / cutoff_;
  if (!(farthest <= kFarthest)) {  // all points in one: nothing is certain, and everything gets measured exactly
    scale_ = 0.0;
    surroundings_.inner = -1.0f;
    surroundings_.outer = 1.0f;
    return;
  }
  scale_ = 1.0 / cutoff_;
  const double error = kHalfUlp * (16.0 * farthest + 8.0) + 2.0 * (grid.candidate_cutoff - cutoff_) / cutoff_;
  const double inner = std::max(1.0 - error, 0.0), outer = 1.0 + error;
  surroundings_.inner = static_cast<float>(inner * inner * (1.0 - 4.0 * kHalfUlp));
  surroundings_.outer = static_cast<float>(outer * outer * (1.0 + 4.0 * kHalfUlp));
}

// The images that the bins low to high reach into, sorted by the shifts they mean.
void CandidateBlock::list_images(const CellGrid& grid, const std::int64_t (&low)[3], const std::int64_t (&high)[3]) {
  const std::int64_t* const bins = grid.n_bins;
  images_.clear();
  for (std::int64_t n0 = floor_divide(low[0], bins[0]); n0 <= floor_divide(high[0], bins[0]); ++n0) {
    for (std::int64_t n1 = floor_divide(low[1], bins[1]); n1 <= floor_divide(high[1], bins[1]); ++n1) {
      for (std::int64_t n2 = floor_divide(low[2], bins[2]); n2 <= floor_divide(high[2], bins[2]); ++n2) {
        Image image{{n0, n1, n2}, {}, {}};
        for (int x = 0; x < 3; ++x) {
          for (int k = 0; k < 3; ++k) {
            image.translation[x] += static_cast<double>(image.cell[k]) * grid.lattice.vectors[3 * k + x];
            image.turns[x] += static_cast<std::int32_t>(image.cell[k] * grid.lattice.combination[3 * k + x]);
          }
        }
        images_.push_back(image);
      }
    }
  }
  const auto by_turns = [](const Image& a, const Image& b) {
    return std::lexicographical_compare(a.turns, a.turns + 3, b.turns, b.turns + 3);
  };
  if (!std::is_sorted(images_.begin(), images_.end(), by_turns)) std::sort(images_.begin(), images_.end(), by_turns);
}

void CandidateBlock::collect(const CentreBlock& block) {
  const CellGrid& grid = grids_.grids[static_cast<std::size_t>(block.structure)];
  measure(block, grid);
  std::int64_t low[3], high[3];
  for (int k = 0; k < 3; ++k) {
    low[k] = static_cast<std::int64_t>(std::floor(static_cast<double>(block.low[k]) - grid.reach[k]));
    high[k] = static_cast<std::int64_t>(std::floor(static_cast<double>(block.high[k] + 1) + grid.reach[k]));
    if (grid.lattice.periodic[k]) continue;
    low[k] = std::max(low[k], std::int64_t{0});
    high[k] = std::min(high[k], grid.n_bins[k] - 1);
  }
  list_images(grid, low, high);
  surroundings_.count = 0;
  for (std::size_t image = 0; image < images_.size(); ++image) {
    std::int64_t begin[3], end[3];
    for (int k = 0; k < 3; ++k) {
      const std::int64_t first_bin = images_[image].cell[k] * grid.n_bins[k];
      begin[k] = std::max(low[k] - first_bin, std::int64_t{0});
      end[k] = std::min(high[k] - first_bin + 1, grid.n_bins[k]);
    }
    for (std::int64_t b0 = begin[0]; b0 < end[0]; ++b0) {
      for (std::int64_t b1 = begin[1]; b1 < end[1]; ++b1) {
        const std::int32_t* const row =
            &grids_.bin_start[static_cast<std::size_t>(grid.first_bin + (b0 * grid.n_bins[1] + b1) * grid.n_bins[2])];
        add_run(row[begin[2]], row[end[2]], static_cast<std::int32_t>(image));
      }
    }
  }
}

// Those of the places [begin, end) in an image that are near the box.
void CandidateBlock::add_run(std::int64_t begin, std::int64_t end, std::int32_t image) {
  std::int64_t& n = surroundings_.count;
  make_room(place_, n + (end - begin) + kMostLanes);
  make_room(image_, n + (end - begin));
  const std::int64_t found =
      kernels_.near_box(grids_.x.data() + begin, grids_.y.data() + begin, grids_.z.data() + begin, end - begin,
                        images_[static_cast<std::size_t>(image)].translation, box_, square_, place_.data() + n);
  for (const std::int64_t stop = n + found; n < stop; ++n) {
    place_[static_cast<std::size_t>(n)] += begin;
    image_[static_cast<std::size_t>(n)] = image;
  }
}

// By atom; of one atom's images, which were collected in that order, by shift.
void CandidateBlock::sort() {
  const std::int64_t n = count();
  const auto atom = [&](std::size_t k) {
    return static_cast<std::uint64_t>(grids_.atoms[static_cast<std::size_t>(place_[k])].atom);
  };
  std::uint64_t least = ~std::uint64_t{0}, most = 0;
  bool sorted = true;
  for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k) {
    const std::uint64_t a = atom(k);
    sorted = sorted && a >= most;
    least = std::min(least, a);
    most = std::max(most, a);
  }
  if (sorted) return;
  for (auto* room : {&keys_, &sorted_keys_}) make_room(*room, n);
  for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k) keys_[k] = (atom(k) - least) << 32 | k;
  int bits = 0;
  while ((most - least) >> bits != 0) ++bits;
  radix_sort(keys_, sorted_keys_, n, bits);
  make_room(sorted_place_, n);
  make_room(sorted_image_, n);
  for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k) {
    const std::uint64_t from = keys_[k] & 0xffffffffu;
    sorted_place_[k] = place_[from];
    sorted_image_[k] = image_[from];
  }
  place_.swap(sorted_place_);
  image_.swap(sorted_image_);
}

// Points of candidates and centres.
void CandidateBlock::locate() {
  const std::int64_t n = count();
  for (auto* u : {&x_, &y_, &z_}) make_room(*u, n + kMostLanes);
  make_room(points_, 3 * (last_ - first_));
  make_room(own_, last_ - first_);
  hidden_ = -1;
  for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k) {
    const auto place = static_cast<std::size_t>(place_[k]);
    const Image& image = images_[static_cast<std::size_t>(image_[k])];
    x_[k] = static_cast<float>((grids_.x[place] + image.translation[0] - origin_[0]) * scale_);
    y_[k] = static_cast<float>((grids_.y[place] + image.translation[1] - origin_[1]) * scale_);
    z_[k] = static_cast<float>((grids_.z[place] + image.translation[2] - origin_[2]) * scale_);
    const bool centre = place_[k] >= first_ && place_[k] < last_;
    if (!centre || (image.cell[0] | image.cell[1] | image.cell[2]) != 0) continue;
    const auto own = static_cast<std::size_t>(place_[k] - first_);
    own_[own] = static_cast<std::int32_t>(k);
    points_[3 * own] = x_[k];
    points_[3 * own + 1] = y_[k];
    points_[3 * own + 2] = z_[k];
  }
  std::fill_n(x_.begin() + n, kMostLanes, kOutOfReach);
  std::fill_n(y_.begin() + n, kMostLanes, 0.0f);
  std::fill_n(z_.begin() + n, kMostLanes, 0.0f);
  surroundings_.x = x_.data();
  surroundings_.y = y_.data();
  surroundings_.z = z_.data();
}

}  // namespace atomcore::cpu
