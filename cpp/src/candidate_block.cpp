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
constexpr std::uint64_t kSlot = 0xffffffff;          // of a key: the place of a candidate among those collected
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
    : batch_(batch), grids_(grids), cutoff_(cutoff) {}

void CandidateBlock::gather(const CentreBlock& block) {
  collect(block);
  sorted_ = false;
  set_points();
}

void CandidateBlock::gather_sorted(const CentreBlock& block) {
  collect(block);
  sort();
  set_points();
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

const Centre& CandidateBlock::centre(std::int64_t place) {
  const PlacedAtom& atom = grids_.atoms[static_cast<std::size_t>(place)];
  centre_.atom = atom.atom;
  for (int x = 0; x < 3; ++x) {
    centre_.position[x] = atom.position[x];
    centre_.turns[x] = atom.wrap[x] - wrap_[x];
  }
  return centre_;
}

Candidate CandidateBlock::candidate(std::int32_t k) const {
  Candidate found;
  make_candidate(static_cast<std::size_t>(k), found);
  return found;
}

// Every number is written where it stays: copying them together would wait for each.
void CandidateBlock::make_candidate(std::size_t k, Candidate& to) const {
  const std::size_t slot = sorted_ ? keys_[k] & kSlot : k;
  const PlacedAtom& atom = grids_.atoms[static_cast<std::size_t>(place_[slot])];
  const Image& image = images_[static_cast<std::size_t>(image_[slot])];
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
  for (int k = 0; k < 3; ++k) std::copy_n(cell_ + 3 * k, 3, centre_.cell[k]);
  std::copy_n(grids_.atoms[static_cast<std::size_t>(first_)].wrap, 3, wrap_);
  const double* const coordinate[3] = {grids_.x.data(), grids_.y.data(), grids_.z.data()};
  double half = 0.0;
  for (int k = 0; k < 3; ++k) {
    double low = coordinate[k][block.first], high = low;
    for (std::int64_t place = block.first; place < block.last; ++place) {
      low = std::min(low, coordinate[k][place]);
      high = std::max(high, coordinate[k][place]);
    }
    vicinity_.low[k] = low;
    vicinity_.high[k] = high;
    vicinity_.origin[k] = 0.5 * low + 0.5 * high;
    half = std::max(half, high - vicinity_.origin[k]);
  }
  vicinity_.square = grid.candidate_cutoff * grid.candidate_cutoff;
  const double farthest = (half + grid.candidate_cutoff) / cutoff_;
  if (!(farthest <= kFarthest)) {  // all points in one: nothing is certain, and everything gets measured exactly
    vicinity_.scale = 0.0;
    surroundings_.inner = -1.0f;
    surroundings_.outer = 1.0f;
    return;
  }
  vicinity_.scale = 1.0 / cutoff_;
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
  make_room(own_, last_ - first_);
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

// Those of the places [begin, end) in an image that are near enough.
void CandidateBlock::add_run(std::int64_t begin, std::int64_t end, std::int32_t image) {
  std::int64_t& n = surroundings_.count;
  const std::int64_t room = n + (end - begin) + kMostLanes;
  make_room(place_, room);
  make_room(image_, room);
  for (auto& u : u_) make_room(u, room);
  const Image& moved = images_[static_cast<std::size_t>(image)];
  const std::int64_t found = pair_kernels().collect(
      grids_.x.data() + begin, grids_.y.data() + begin, grids_.z.data() + begin, end - begin, begin, moved.translation,
      vicinity_, {place_.data() + n, {u_[0].data() + n, u_[1].data() + n, u_[2].data() + n}});
  std::fill_n(image_.begin() + n, found, image);
  if ((moved.cell[0] | moved.cell[1] | moved.cell[2]) == 0) {
    for (std::int64_t k = n; k < n + found; ++k) {
      const std::int64_t centre = place_[static_cast<std::size_t>(k)] - first_;
      if (centre >= 0 && centre < last_ - first_) own_[static_cast<std::size_t>(centre)] = static_cast<std::int32_t>(k);
    }
  }
  n += found;
}

// By atom; of one atom's images, which were collected in that order, by shift.
void CandidateBlock::sort() {
  const auto n = static_cast<std::size_t>(count());
  make_room(keys_, count());
  std::uint64_t least = ~std::uint64_t{0}, most = 0;
  sorted_ = false;
  for (std::size_t k = 0; k < n; ++k) {
    const auto atom = static_cast<std::uint64_t>(grids_.atoms[static_cast<std::size_t>(place_[k])].atom);
    sorted_ = sorted_ || atom < most;
    least = std::min(least, atom);
    most = std::max(most, atom);
    keys_[k] = atom << 32 | k;
  }
  if (!sorted_) return;
  for (std::size_t k = 0; k < n; ++k) keys_[k] -= least << 32;
  int bits = 0;
  while ((most - least) >> bits != 0) ++bits;
  make_room(other_keys_, count());
  radix_sort(keys_, other_keys_, count(), bits);
  make_room(rank_, count());
  for (std::size_t k = 0; k < n; ++k) rank_[keys_[k] & kSlot] = static_cast<std::int32_t>(k);
}

// Points of candidates and centres.
void CandidateBlock::set_points() {
  const auto n = static_cast<std::size_t>(count());
  std::vector<float>* const to[3] = {&x_, &y_, &z_};
  for (std::size_t x = 0; x < 3; ++x) {
    make_room(*to[x], count() + kMostLanes);
    float* const point = to[x]->data();
    const double* const u = u_[x].data();
    if (sorted_)
      for (std::size_t k = 0; k < n; ++k) point[k] = static_cast<float>(u[keys_[k] & kSlot]);
    else
      for (std::size_t k = 0; k < n; ++k) point[k] = static_cast<float>(u[k]);
    std::fill_n(point + n, kMostLanes, x == 0 ? kOutOfReach : 0.0f);
  }
  surroundings_.x = x_.data();
  surroundings_.y = y_.data();
  surroundings_.z = z_.data();
  hidden_ = -1;
  const auto n_centres = static_cast<std::size_t>(last_ - first_);
  make_room(points_, 3 * (last_ - first_));
  for (std::size_t c = 0; c < n_centres; ++c) {
    if (sorted_) own_[c] = rank_[static_cast<std::size_t>(own_[c])];
    for (std::size_t x = 0; x < 3; ++x) points_[3 * c + x] = (*to[x])[static_cast<std::size_t>(own_[c])];
  }
}

}  // namespace atomcore::cpu
