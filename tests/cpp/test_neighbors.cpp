// The neighbour search without Python, for sanitizers: random cells against all images, sizes that must be refused.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "check.hpp"
#include "math/cell.hpp"
#include "src/error.hpp"
#include "src/kernels.hpp"
#include "src/neighbor_input.hpp"
#include "src/neighbor_size.hpp"

namespace {

struct System {
  std::vector<double> positions, cells;
  std::vector<std::uint8_t> pbc;
  std::vector<std::int64_t> structure_ptr;
};

System random_system(unsigned seed, std::int64_t n) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  System system;
  const double size = std::cbrt(static_cast<double>(n) + 3.0);
  for (std::int64_t x = 0; x < 3 * n; ++x) system.positions.push_back(size * uniform(engine));
  for (int x = 0; x < 9; ++x) system.cells.push_back(size * (uniform(engine) + (x % 4 == 0 ? 2.0 : 0.0)));
  for (int k = 0; k < 3; ++k) system.pbc.push_back(uniform(engine) > -0.4);
  for (std::size_t x = 0; x < 3; ++x) system.cells[x] += 2.0 * system.cells[x + 3];  // skewed
  system.structure_ptr = {0, n};
  return system;
}

atomcore::cpu::NeighborList search(const System& s, double cutoff, int n_threads) {
  atomcore::check_neighbor_input(s.positions, s.cells, s.pbc, s.structure_ptr, cutoff);
  return atomcore::cpu::neighbor_list(s.positions, s.cells, s.pbc, s.structure_ptr, cutoff, n_threads);
}

using Pair = std::tuple<std::size_t, std::int64_t, int, int, int>;

std::vector<Pair> all_images(const System& s, double cutoff, int range) {
  std::vector<Pair> pairs;
  const std::size_t n = s.positions.size() / 3;
  const int most[3] = {s.pbc[0] ? range : 0, s.pbc[1] ? range : 0, s.pbc[2] ? range : 0};
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (int a = -most[0]; a <= most[0]; ++a)
        for (int b = -most[1]; b <= most[1]; ++b)
          for (int c = -most[2]; c <= most[2]; ++c) {
            const auto D =
                atomcore::math::edge_vector(&s.positions[3 * i], &s.positions[3 * j], s.cells.data(),
                                            static_cast<double>(a), static_cast<double>(b), static_cast<double>(c));
            if (std::sqrt(atomcore::math::dot(D, D)) < cutoff && !(i == j && a == 0 && b == 0 && c == 0))
              pairs.emplace_back(i, static_cast<std::int64_t>(j), a, b, c);
          }
  return pairs;
}

std::vector<Pair> as_pairs(const atomcore::cpu::NeighborList& list) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i + 1 < list.row_ptr.size(); ++i)
    for (auto e = static_cast<std::size_t>(list.row_ptr[i]); e < static_cast<std::size_t>(list.row_ptr[i + 1]); ++e)
      pairs.emplace_back(i, list.neighbor[e], list.shift[3 * e], list.shift[3 * e + 1], list.shift[3 * e + 2]);
  return pairs;
}

void test_search() {
  for (unsigned seed = 0; seed < 12; ++seed) {
    const System system = random_system(seed, seed % 4 == 0 ? 60 : static_cast<std::int64_t>(seed));
    const auto list = search(system, 2.5, 1);
    for (std::int32_t x : list.shift) check(std::abs(x) < 9, "the enumeration reaches far enough");
    check(as_pairs(list) == all_images(system, 2.5, 9), "all images, seed " + std::to_string(seed));
  }
}

void test_threads_and_adjoint() {
  const System system = random_system(5, 900);
  const auto list = search(system, 2.5, 1), threaded = search(system, 2.5, 3);
  check(list.row_ptr == threaded.row_ptr && list.neighbor == threaded.neighbor && list.shift == threaded.shift,
        "the same list with three threads");
  std::vector<double> D(list.shift.size()), g_positions(system.positions.size()), g_cells(9);
  atomcore::cpu::edge_vectors<double>(system.positions, system.cells, system.structure_ptr, list.row_ptr, list.neighbor,
                                      list.shift, D, 3);
  atomcore::cpu::edge_scatter<double>(D, system.structure_ptr, list.row_ptr, list.neighbor, list.shift, g_positions,
                                      g_cells, 3);
  double forward = 0.0, backward = 0.0;  // <D, D> = <adjoint D, (positions, cell)>
  for (double x : D) forward += x * x;
  for (std::size_t x = 0; x < g_positions.size(); ++x) backward += g_positions[x] * system.positions[x];
  for (std::size_t x = 0; x < 9; ++x) backward += g_cells[x] * system.cells[x];
  check(std::abs(forward - backward) <= 1e-10 * forward, "edge_scatter is the adjoint of edge_vectors");
}

void check_out_of_memory(double pairs, double memory, const std::string& text) {
  try {
    atomcore::check_pair_count(pairs, memory);
  } catch (const atomcore::Error& error) {
    check(error.code() == atomcore::ErrorCode::out_of_memory, "the code says out of memory");
    check(std::string(error.what()).find(text) != std::string::npos, "the size is named: " + text);
    return;
  }
  check(false, "a list of " + text + " is refused");
}

void test_sizes() {
  atomcore::check_pair_count(2147483647.0, 1e12);
  check_out_of_memory(2147483648.0, 1e12, "2.15e+09 pairs");
  check_out_of_memory(1e9, 1e10, "20 GB");
  check_out_of_memory(std::nan(""), 1e12, "nan pairs");
}

}  // namespace

int main() {
  test_search();
  test_threads_and_adjoint();
  test_sizes();
  return report();
}
