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

std::int64_t collect(const double* x, const double* y, const double* z, std::int64_t n, std::int64_t first,
                     const double* shift, const Vicinity& vicinity, const Collected& to) {
  const double* const coordinate[3] = {x, y, z};
  auto place = lane_places<double>() + first;
  std::int64_t found = 0;
  for (std::int64_t begin = 0; begin < n; begin += Doubles::kWidth, place += Doubles::kWidth) {
    Doubles u[3], distance(0.0);
    for (int k = 0; k < 3; ++k) {
      u[k] = load_pack(coordinate[k] + begin) + shift[k];
      const Doubles below = vicinity.low[k] - u[k], above = u[k] - vicinity.high[k];
      const Doubles outside = select(below > above, below, above);
      const Doubles beyond = select(outside > 0.0, outside, Doubles(0.0));
      distance = distance + beyond * beyond;
    }
    const unsigned bits = bits_of(distance <= vicinity.square) & first_lanes(n - begin);
    compress_store(reinterpret_cast<double*>(to.place + found), as_lanes<double>(place), bits);
    for (int k = 0; k < 3; ++k) compress_store(to.u[k] + found, (u[k] - vicinity.origin[k]) * vicinity.scale, bits);
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
typedef double Triple __attribute__((vector_size(32)));
typedef std::uint32_t Turns __attribute__((vector_size(16)));  // unsigned: sums may wrap around
typedef std::int32_t SignedTurns __attribute__((vector_size(16)));

template <typename Vector, typename T>
Vector load_as(const T* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

// Writes four numbers where three belong: the fourth is written over by the next pair.
template <typename Vector, typename T>
void store_over(T* to, const Vector& v) {
  std::memcpy(to, &v, sizeof v);
}

struct Cell {
  Triple a, b, c;
  Triple translation(const Turns& shift) const {
    const auto s = __builtin_convertvector((SignedTurns)shift, Triple);
    return (s[0] * a + s[1] * b) + s[2] * c;
  }
};

// Where the centres of a block share their turns the translations of the candidates hold; kOwnTurns: not here.
template <bool kOwnTurns>
void write_edges(const Centre& centre, const Candidate* candidates, const std::int32_t* found, std::int64_t n,
                 const RowArrays& row) {
  const auto r_i = load_as<Triple>(centre.position);
  const Cell cell{load_as<Triple>(centre.cell[0]), load_as<Triple>(centre.cell[1]), load_as<Triple>(centre.cell[2])};
  const auto own = load_as<Turns>(centre.turns);
  for (std::int64_t m = 0; m < n; ++m) {
    const Candidate& candidate = candidates[found[m]];
    auto shift = load_as<Turns>(candidate.turns);
    if constexpr (kOwnTurns) shift += own;
    if (row.neighbor != nullptr) row.neighbor[m] = candidate.atom;
    if (row.shift != nullptr) store_over(row.shift + 3 * m, shift);
    if (row.vector == nullptr) continue;
    const Triple T = kOwnTurns ? cell.translation(shift) : load_as<Triple>(candidate.translation);
    store_over(row.vector + 3 * m, (load_as<Triple>(candidate.position) - r_i) + T);
  }
}

// In whole packs: no remainders.
std::int64_t whole(std::int64_t n) { return (n + Doubles::kWidth - 1) / Doubles::kWidth * Doubles::kWidth; }

void write_row(const Centre& centre, const Candidate* candidates, const std::int32_t* found, std::int64_t n,
               const RowArrays& row) {
  if ((centre.turns[0] | centre.turns[1] | centre.turns[2]) != 0)
    write_edges<true>(centre, candidates, found, n, row);
  else
    write_edges<false>(centre, candidates, found, n, row);
  if (row.centre != nullptr)
    for (std::int64_t m = 0; m < whole(n); ++m) row.centre[m] = centre.atom;
}

void measure_lengths(const double* vector, double* distance, std::int64_t n) {
  for (std::int64_t m = 0; m < whole(n); ++m) distance[m] = math::norm(vector + 3 * m);
}

// The edges from atom i to a pack of atoms that starts at j, and which of them are neighbours. Adding the zero of a
// shift leaves no negative zeros.
struct OpenEdges {
  OpenEdges(const OpenStructure& atoms, std::int64_t i, std::int64_t j, double square)
      : x(load_pack(atoms.x + j) - atoms.x[i] + 0.0),
        y(load_pack(atoms.y + j) - atoms.y[i] + 0.0),
        z(load_pack(atoms.z + j) - atoms.z[i] + 0.0),
        squares(x * x + y * y + z * z),
        bits(bits_of(squares < square)) {
    if (i >= j && i < j + Doubles::kWidth) bits &= ~(1u << (i - j));
  }
  Doubles x, y, z, squares;
  unsigned bits;
};

void count_open(const OpenStructure& atoms, double square, std::int64_t* count) {
  for (std::int64_t i = 0; i < atoms.n; ++i) {
    count[i] = 0;
    for (std::int64_t j = 0; j < atoms.n; j += Doubles::kWidth)
      count[i] += count_bits(OpenEdges(atoms, i, j, square).bits);
  }
}

void write_open(const OpenStructure& atoms, double square, const std::int64_t* row_ptr, const RowArrays& list) {
  std::int64_t e = row_ptr[0];
  for (std::int64_t i = 0; i < atoms.n; ++i) {
    auto places = lane_places<double>() + atoms.first;
    for (std::int64_t j = 0; j < atoms.n; j += Doubles::kWidth, places += Doubles::kWidth) {
      const OpenEdges edges(atoms, i, j, square);
      const int n = count_bits(edges.bits);
      double x[Doubles::kWidth], y[Doubles::kWidth], z[Doubles::kWidth], r[Doubles::kWidth];
      std::int64_t neighbor[Doubles::kWidth];
      compress_store(reinterpret_cast<double*>(neighbor), as_lanes<double>(places), edges.bits);
      compress_store(x, edges.x, edges.bits);
      compress_store(y, edges.y, edges.bits);
      compress_store(z, edges.z, edges.bits);
      compress_store(r, sqrt(edges.squares), edges.bits);
      for (int k = 0; k < n; ++k, ++e) {
        if (list.centre != nullptr) list.centre[e] = atoms.first + i;
        if (list.neighbor != nullptr) list.neighbor[e] = neighbor[k];
        if (list.shift != nullptr) list.shift[3 * e] = list.shift[3 * e + 1] = list.shift[3 * e + 2] = 0;
        if (list.vector != nullptr)
          list.vector[3 * e] = x[k], list.vector[3 * e + 1] = y[k], list.vector[3 * e + 2] = z[k];
        if (list.distance != nullptr) list.distance[e] = r[k];
      }
    }
  }
}

Triple load_three(const double* from) { return Triple{from[0], from[1], from[2], 0.0}; }

std::int64_t measure_row(const PossiblePairs& pairs, std::int64_t atom, std::int64_t first, std::int64_t last,
                         double square, const RowArrays& row) {
  const Triple r_i = load_as<Triple>(pairs.positions + 4 * atom);
  const Cell cell{load_three(pairs.cell), load_three(pairs.cell + 3), load_three(pairs.cell + 6)};
  std::int64_t n = 0;
  for (std::int64_t e = first; e < last; ++e) {
    const std::int64_t j = pairs.neighbor[e];
    const Turns shift{static_cast<std::uint32_t>(pairs.shift[3 * e]),
                      static_cast<std::uint32_t>(pairs.shift[3 * e + 1]),
                      static_cast<std::uint32_t>(pairs.shift[3 * e + 2]), 0};
    const Triple D = (load_as<Triple>(pairs.positions + 4 * j) - r_i) + cell.translation(shift);
    if (row.vector != nullptr) {
      row.neighbor[n] = j;
      store_over(row.shift + 3 * n, shift);
      store_over(row.vector + 3 * n, D);
    }
    const Triple squares = D * D;
    n += (squares[0] + squares[1]) + squares[2] < square ? 1 : 0;
  }
  return n;
}

void stream(void* to, const void* from, std::int64_t bytes) {
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
#if defined(__SSE2__)
  constexpr std::int64_t kLine = 64;
  const auto misplaced = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to) % kLine);
  const std::int64_t before = misplaced == 0 ? 0 : kLine - misplaced;
  if (bytes >= before + kLine) {
    std::memcpy(target, source, static_cast<std::size_t>(before));
    for (target += before, source += before, bytes -= before; bytes >= kLine;
         target += kLine, source += kLine, bytes -= kLine) {
#if defined(__AVX512F__)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(target), load_as<__m512i>(source));
#else
      for (int k = 0; k < kLine; k += 16)
        _mm_stream_si128(reinterpret_cast<__m128i*>(target + k), load_as<__m128i>(source + k));
#endif
    }
  }
#endif
  std::memcpy(target, source, static_cast<std::size_t>(bytes));
}

void finish_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace

const PairKernels kPairKernels{collect,    count_near,  find_near,       write_row, count_open,
                               write_open, measure_row, measure_lengths, stream,    finish_streams};

}  // namespace atomcore::cpu::AC_ISA
