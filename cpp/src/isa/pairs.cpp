// Decisions are taken by exact arithmetic (no contraction here): this file is fast, neighbors.cpp says why it is right.
#include "math/cell.hpp"
#include "math/pack.hpp"
#include "src/pair_kernels.hpp"

namespace atomcore::cpu::AC_ISA {
namespace {

using math::bits_of;
using math::compress_store;
using math::count_bits;
using math::load_pack;
using math::Mask;
using math::Pack;

using Doubles = Pack<double>;
using Floats = Pack<float>;
static_assert(Floats::kWidth <= kMostLanes);

// Places fit into the bits of the lanes they belong to.
template <typename T>
Pack<T> as_lanes(typename Pack<T>::Integers places) {
  return Pack<T>(reinterpret_cast<typename Pack<T>::Vector>(places));
}

template <typename T>
typename Pack<T>::Integers lane_places() {
  typename Pack<T>::Integers places;
  for (int l = 0; l < Pack<T>::kWidth; ++l) places[l] = l;
  return places;
}

unsigned first_lanes(std::int64_t n) { return n >= 32 ? ~0u : (1u << n) - 1u; }

std::int64_t near_box(const double* x, const double* y, const double* z, std::int64_t n, const double* shift,
                      const Box& box, double square, std::int64_t* places) {
  const double* const coordinate[3] = {x, y, z};
  auto place = lane_places<double>();
  std::int64_t found = 0;
  for (std::int64_t first = 0; first < n; first += Doubles::kWidth, place += Doubles::kWidth) {
    Doubles distance(0.0);
    for (int k = 0; k < 3; ++k) {
      const Doubles u = load_pack(coordinate[k] + first) + shift[k];
      const Doubles below = box.low[k] - u, above = u - box.high[k];
      const Doubles outside = select(below > above, below, above);
      const Doubles beyond = select(outside > 0.0, outside, Doubles(0.0));
      distance = distance + beyond * beyond;
    }
    const unsigned bits = bits_of(distance <= square) & first_lanes(n - first);
    compress_store(reinterpret_cast<double*>(places + found), as_lanes<double>(place), bits);
    found += count_bits(bits);
  }
  return found;
}

Floats squares(const Surroundings& around, const float* u, std::int64_t first) {
  const Floats x = load_pack(around.x + first) - u[0];
  const Floats y = load_pack(around.y + first) - u[1];
  const Floats z = load_pack(around.z + first) - u[2];
  return x * x + y * y + z * z;
}

std::int64_t count_near(const Surroundings& around, const float* u, std::int32_t* unsure, std::int64_t* n_unsure) {
  std::int64_t certain = 0, between = 0;
  for (std::int64_t first = 0; first < around.count; first += Floats::kWidth) {
    const Floats square = squares(around, u, first);
    const unsigned inside = bits_of(square < around.inner);
    certain += count_bits(inside);
    for (unsigned rest = bits_of(square <= around.outer) & ~inside; rest != 0; rest &= rest - 1)
      unsure[between++] = static_cast<std::int32_t>(first + __builtin_ctz(rest));
  }
  *n_unsure = between;
  return certain;
}

std::int64_t find_near(const Surroundings& around, const float* u, std::int32_t* found) {
  auto place = lane_places<float>();
  std::int64_t n = 0;
  for (std::int64_t first = 0; first < around.count; first += Floats::kWidth, place += Floats::kWidth) {
    const unsigned bits = bits_of(squares(around, u, first) <= around.outer);
    compress_store(reinterpret_cast<float*>(found + n), as_lanes<float>(place), bits);
    n += count_bits(bits);
  }
  return n;
}

// Three numbers and one that does not matter.
typedef double Triple __attribute__((vector_size(32), aligned(8), may_alias));
typedef std::uint32_t Turns __attribute__((vector_size(16), aligned(4), may_alias));  // unsigned: sums may wrap
typedef std::int32_t SignedTurns __attribute__((vector_size(16), may_alias));

template <typename Vector, typename T>
Vector load_as(const T* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

void write_shifts_and_vectors(const Centre& centre, const Candidate* candidates, const std::int32_t* found,
                              std::int64_t n, const RowArrays& row) {
  const auto r_i = load_as<Triple>(centre.position);
  const auto a = load_as<Triple>(centre.cell[0]), b = load_as<Triple>(centre.cell[1]),
             c = load_as<Triple>(centre.cell[2]);
  const auto turns = load_as<Turns>(centre.turns);
  for (std::int64_t m = 0; m < n; ++m) {
    const Candidate& candidate = candidates[found[m]];
    const Turns shift = load_as<Turns>(candidate.turns) + turns;
    // Four numbers are written where three belong: the fourth is written over by the next pair, but for the last one.
    const std::size_t numbers = m + 1 < n ? 4 : 3;
    if (row.shift != nullptr) {
      if (numbers == 4)
        std::memcpy(row.shift + 3 * m, &shift, 16);
      else
        std::memcpy(row.shift + 3 * m, &shift, 12);
    }
    if (row.vector == nullptr) continue;
    const auto s = __builtin_convertvector((SignedTurns)shift, Triple);
    const Triple D = (load_as<Triple>(candidate.position) - r_i) + ((s[0] * a + s[1] * b) + s[2] * c);
    if (numbers == 4)
      std::memcpy(row.vector + 3 * m, &D, 32);
    else
      std::memcpy(row.vector + 3 * m, &D, 24);
  }
}

void write_row(const Centre& centre, const Candidate* candidates, const std::int32_t* found, std::int64_t n,
               const RowArrays& row) {
  if (row.centre != nullptr)
    for (std::int64_t m = 0; m < n; ++m) row.centre[m] = centre.atom;
  if (row.neighbor != nullptr)
    for (std::int64_t m = 0; m < n; ++m) row.neighbor[m] = candidates[found[m]].atom;
  if (row.shift != nullptr || row.vector != nullptr) write_shifts_and_vectors(centre, candidates, found, n, row);
  if (row.distance != nullptr)
    for (std::int64_t m = 0; m < n; ++m) row.distance[m] = math::norm(row.vector + 3 * m);
}

}  // namespace

const PairKernels kPairKernels{near_box, count_near, find_near, write_row};

}  // namespace atomcore::cpu::AC_ISA
