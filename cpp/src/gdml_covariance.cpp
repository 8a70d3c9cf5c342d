#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <utility>

#include "src/gdml.hpp"
#include "src/interrupt.hpp"
#include "src/isa.hpp"
#include "src/packed.hpp"
#include "src/pair_kernels.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::size_t kStreamed = std::size_t{2} << 20;  // bytes: more than a second cache

const GdmlKernels& gdml_kernels() { return AC_PICK(kGdml); }

}  // namespace

GdmlCovariance::GdmlCovariance(std::size_t n_atoms, span<const double> x, span<const double> C,
                               span<const std::int64_t> permutations, double sigma)
    : n_atoms_(n_atoms),
      n_pairs_(n_atoms * (n_atoms - 1) / 2),
      n_structures_(x.size() / n_pairs_),
      permuted_(permuted_pairs(permutations, n_atoms)) {
  const std::size_t n_groups = (n_structures_ + kGroup - 1) / kGroup;
  x_.require(n_groups * n_pairs_ * kGroup);
  C_.require(3 * n_groups * n_pairs_ * kGroup);
  for (std::size_t i = 0; i < n_structures_; ++i) {
    for (std::size_t k = 0; k < n_pairs_; ++k)
      x_.data()[(i / kGroup * n_pairs_ + k) * kGroup + i % kGroup] = x[i * n_pairs_ + k] / sigma;
    for (std::size_t k = 0; k < 3 * n_pairs_; ++k)
      C_.data()[(i / kGroup * 3 * n_pairs_ + k) * kGroup + i % kGroup] = C[i * 3 * n_pairs_ + k] / sigma;
  }
  make_links();
}

void GdmlCovariance::structure(std::size_t i, double* x, double* C) const {
  for (std::size_t k = 0; k < n_pairs_; ++k) x[k] = x_.data()[(i / kGroup * n_pairs_ + k) * kGroup + i % kGroup];
  for (std::size_t k = 0; k < 3 * n_pairs_; ++k)
    C[k] = C_.data()[(i / kGroup * 3 * n_pairs_ + k) * kGroup + i % kGroup];
}

// Which permutations take pair k to which other pair; those sets, each once; and for two atoms the pairs they are in.
void GdmlCovariance::make_links() {
  const std::size_t P = permuted_.size() / n_pairs_;
  std::map<std::vector<std::int32_t>, std::int32_t> sets;
  std::vector<std::map<std::int32_t, std::int32_t>> set_of(n_pairs_);  // [k][other pair]
  for (std::size_t k = 0; k < n_pairs_; ++k) {
    std::map<std::int32_t, std::vector<std::int32_t>> members;
    for (std::size_t p = 0; p < P; ++p) members[permuted_[p * n_pairs_ + k]].push_back(static_cast<std::int32_t>(p));
    for (auto& [other, set] : members)
      set_of[k][other] = sets.emplace(std::move(set), static_cast<std::int32_t>(sets.size())).first->second;
  }
  std::vector<const std::vector<std::int32_t>*> ordered(sets.size());
  for (const auto& [members, number] : sets) ordered[static_cast<std::size_t>(number)] = &members;
  set_begin_ = {0};
  for (const auto* members : ordered) {
    set_members_.insert(set_members_.end(), members->begin(), members->end());
    set_begin_.push_back(static_cast<std::int32_t>(set_members_.size()));
  }
  const auto negative = static_cast<std::int32_t>(sets.size());  // where minus the weights start
  std::vector<std::vector<GdmlLink>> of_atoms(n_atoms_ * n_atoms_);
  for (std::size_t a = 1, k = 0; a < n_atoms_; ++a)
    for (std::size_t b = 0; b < a; ++b, ++k)
      for (std::size_t a2 = 1, k2 = 0; a2 < n_atoms_; ++a2)
        for (std::size_t b2 = 0; b2 < a2; ++b2, ++k2) {
          const auto found = set_of[k].find(static_cast<std::int32_t>(k2));
          if (found == set_of[k].end()) continue;
          const GdmlLink alike{static_cast<std::int32_t>(k), static_cast<std::int32_t>(k2), found->second};
          const GdmlLink opposite{alike.pair, alike.other, found->second + negative};
          of_atoms[a * n_atoms_ + a2].push_back(alike);
          of_atoms[b * n_atoms_ + b2].push_back(alike);
          of_atoms[a * n_atoms_ + b2].push_back(opposite);
          of_atoms[b * n_atoms_ + a2].push_back(opposite);
        }
  link_begin_ = {0};
  for (const auto& links : of_atoms) {
    links_.insert(links_.end(), links.begin(), links.end());
    link_begin_.push_back(static_cast<std::int32_t>(links_.size()));
  }
}

GdmlView GdmlCovariance::view() const {
  return {n_atoms_,         n_pairs_,          permuted_.size() / n_pairs_, set_begin_.size() - 1,
          permuted_.data(), set_begin_.data(), set_members_.data(),         link_begin_.data(),
          links_.data()};
}

// Where a row of the matrix goes: its column c to origin[c], for columns from `first` to before `last`.
struct GdmlCovariance::Row {
  double* origin;
  std::size_t first, last;

  bool wants(std::size_t column, std::size_t n) const { return std::max(first, column) < std::min(last, column + n); }
};

// What one thread needs to make rows.
class GdmlCovariance::Worker {
 public:
  Worker(const GdmlCovariance& all, bool energies, bool streamed)
      : all_(all), view_(all.view()), energies_(energies), streamed_(streamed) {
    const std::size_t n = 3 * view_.n_atoms, padded = (n + kGroup - 1) / kGroup * kGroup;
    Lines<double>* const columns = buffers_;
    const std::size_t lines[] = {2 * view_.n_pairs,
                                 view_.n_permutations,
                                 view_.n_permutations * n,
                                 view_.n_permutations * n,
                                 2 * view_.n_sets,
                                 3 * padded,
                                 padded,
                                 padded,
                                 1};
    for (std::size_t b = 0; b < std::size(lines); ++b) columns[b].require(lines[b] * kGroup);
    const auto part = [&](std::size_t b) { return columns[b].data(); };
    const auto energy_part = [&](std::size_t b) { return energies ? part(b) : nullptr; };
    terms_ = {part(0), part(1), part(2), part(3), part(4), part(5), energy_part(6), energy_part(7), energy_part(8)};
    rows_.require(3 * (n + 1) * kGroup);
    x_.resize(view_.n_pairs);
    C_.resize(3 * view_.n_pairs);
  }

  // The rows of the gradient of structure i, 3 n_atoms, and that of its energy behind them.
  void run(std::size_t i, const std::vector<Row>& to, Interruptible& interruptible) {
    all_.structure(i, x_.data(), C_.data());
    const std::size_t n = 3 * view_.n_atoms, forces = n * all_.n_structures_;
    for (std::size_t j = 0; j < all_.n_structures_; j += kGroup) {
      const std::size_t count = std::min(kGroup, all_.n_structures_ - j);
      const auto wanted = [&](const Row& row) {
        return row.wants(j * n, count * n) || (energies_ && row.wants(forces + j, count));
      };
      if (std::none_of(to.begin(), to.end(), wanted)) continue;
      interruptible.check();
      const double* const group_C = all_.C_.data() + j * 3 * view_.n_pairs;
      gdml_kernels().relate(view_, x_.data(), C_.data(), all_.x_.data() + j * view_.n_pairs, group_C, terms_);
      put_forces(to, j * n, count * n, group_C);
      if (energies_) put_energies(to, j, count);
    }
  }

 private:
  void put(const Row& row, std::size_t column, std::size_t count, const double* from) const {
    const std::size_t begin = std::max(row.first, column), end = std::min(row.last, column + count);
    if (begin >= end) return;
    const std::size_t bytes = (end - begin) * sizeof(double);
    if (streamed_)
      pair_kernels().stream(row.origin + begin, from + (begin - column), static_cast<std::int64_t>(bytes));
    else
      std::memcpy(row.origin + begin, from + (begin - column), bytes);
  }

  void put_forces(const std::vector<Row>& to, std::size_t column, std::size_t count, const double* group_C) {
    const std::size_t stride = (3 * view_.n_atoms + 1) * kGroup;
    for (std::size_t atom = 0; atom < view_.n_atoms; ++atom) {
      const Row* const own = to.data() + 3 * atom;
      if (std::none_of(own, own + 3, [&](const Row& row) { return row.wants(column, count); })) continue;
      gdml_kernels().force_rows(view_, C_.data(), group_C, terms_, atom, rows_.data());
      for (std::size_t r = 0; r < 3; ++r) put(own[r], column, count, rows_.data() + r * stride);
    }
  }

  void put_energies(const std::vector<Row>& to, std::size_t j, std::size_t count) {
    const std::size_t n = 3 * view_.n_atoms, forces = n * all_.n_structures_;
    for (std::size_t r = 0; r < n; ++r) put(to[r], forces + j, count, terms_.force_energy + r * kGroup);
    gdml_kernels().transpose(terms_.energy_force, n, rows_.data());
    put(to[n], j * n, count * n, rows_.data());
    put(to[n], forces + j, count, terms_.energy);
  }

  const GdmlCovariance& all_;
  const GdmlView view_;
  const bool energies_, streamed_;
  Lines<double> buffers_[9], rows_;
  GdmlTerms terms_;
  std::vector<double> x_, C_;
};

// rows_of(i, rows) says where the rows of structure i go. Which thread makes them changes nothing about them.
template <typename RowsOf>
void GdmlCovariance::assemble(span<const std::size_t> structures, bool energies, bool streamed, int n_threads,
                              const RowsOf& rows_of) const {
  Interruptible interruptible;
  std::atomic<std::size_t> next{0};
  const auto most = std::min<std::int64_t>(n_threads, static_cast<std::int64_t>(structures.size()));
  parallel_for(most, n_threads, 1, [&](std::int64_t, std::int64_t) {
    Worker worker(*this, energies, streamed);
    std::vector<Row> rows(3 * n_atoms_ + 1);
    for (std::size_t i; (i = next.fetch_add(1)) < structures.size();) {
      std::fill(rows.begin(), rows.end(), Row{nullptr, 0, 0});
      rows_of(structures[i], rows);
      worker.run(structures[i], rows, interruptible);
    }
    if (streamed) pair_kernels().finish_streams();
  });
}

void GdmlCovariance::fill(double* out, Storage storage, bool energies, std::size_t first, std::size_t last,
                          int n_threads) const {
  const std::size_t n = size(energies), block = 3 * n_atoms_;
  const PackedLayout layout{static_cast<std::int64_t>(n)};
  const auto row_of = [&](std::size_t i) -> Row {
    if (storage == Storage::full) return {out + i * n, 0, n};
    if (storage == Storage::lower) return {out + i * n, 0, i + 1};
    const auto row = static_cast<std::int64_t>(i);
    if (row >= layout.split()) return {out + layout.block(row, 0).offset, 0, i + 1};
    return {out + layout.block(0, row).offset, i, static_cast<std::size_t>(layout.split())};  // a column below row i
  };
  std::vector<std::size_t> structures;
  for (std::size_t i = first; i < last; ++i) structures.push_back(i);
  const std::size_t bytes = n * n * sizeof(double) / (storage == Storage::packed ? 2 : 1);
  assemble(structures, energies, bytes > kStreamed, n_threads, [&](std::size_t i, std::vector<Row>& rows) {
    for (std::size_t r = 0; r < block; ++r) rows[r] = row_of(i * block + r);
    if (energies) rows[block] = row_of(n_structures_ * block + i);
  });
}

void GdmlCovariance::rows(span<const std::int64_t> indices, bool energies, double* out, int n_threads) const {
  const std::size_t n = size(energies), block = 3 * n_atoms_, forces = block * n_structures_;
  std::map<std::size_t, std::vector<std::pair<std::size_t, Row>>> wanted;  // of each structure: which go where
  for (std::size_t r = 0; r < indices.size(); ++r) {
    const auto index = static_cast<std::size_t>(indices[r]);
    const bool energy = index >= forces;
    wanted[energy ? index - forces : index / block].emplace_back(energy ? block : index % block,
                                                                 Row{out + r * n, 0, n});
  }
  std::vector<std::size_t> structures;
  for (const auto& [structure, rows] : wanted) structures.push_back(structure);
  assemble(structures, energies, indices.size() * n * sizeof(double) > kStreamed, n_threads,
           [&](std::size_t i, std::vector<Row>& rows) {
             for (const auto& [place, row] : wanted.at(i)) rows[place] = row;
           });
}

void GdmlCovariance::product(const double* vector, bool energies, double* out, int n_threads) const {
  const std::size_t M = n_structures_, D = n_pairs_, block = 3 * n_atoms_;
  KernelSum sum{math::KernelKind::matern52, {}, D, std::vector<double>(M * D), {}, std::vector<double>(M * D)};
  std::vector<double> C(M * 3 * D), values(M), gradients(M * D);
  for (std::size_t i = 0; i < M; ++i) {
    structure(i, sum.centres.data() + i * D, C.data() + i * 3 * D);
    push_forward(n_atoms_, C.data() + i * 3 * D, vector + i * block, sum.derivative_coefficients.data() + i * D);
  }
  if (energies) sum.coefficients.assign(vector + M * block, vector + M * block + M);
  const std::vector<double> x = sum.centres;
  const PermutedExpansion expansion(sum, permuted_);
  Interruptible interruptible;
  constexpr std::size_t kPiece = kTilePoints;
  parallel_for(
      static_cast<std::int64_t>((M + kPiece - 1) / kPiece), n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
        PermutedExpansion::Workspace work;
        for (auto piece = static_cast<std::size_t>(begin); piece < static_cast<std::size_t>(end); ++piece) {
          interruptible.check();
          const std::size_t first = piece * kPiece, count = std::min(kPiece, M - first);
          expansion.evaluate(x.data() + first * D, count, values.data() + first, gradients.data() + first * D, work);
          for (std::size_t i = first; i < first + count; ++i)
            pull_back(n_atoms_, C.data() + i * 3 * D, gradients.data() + i * D, out + i * block);
        }
      });
  if (energies) std::copy(values.begin(), values.end(), out + M * block);
}

}  // namespace atomcore::cpu
