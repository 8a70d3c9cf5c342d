#include "src/centre_stream.hpp"

#include <algorithm>

#include "math/cell.hpp"

namespace atomcore {
template <typename Head>
CentreStream<Head>::CentreStream(const ModelPart<Head>& part) : part_(part) {
  const auto rows_of = [](const typename ModelPart<Head>::Plan& plan) {
    return plan ? std::make_unique<cpu::FeatureRows<T>>(*plan) : nullptr;
  };
  for (const auto& plan : part.read) read_.push_back(rows_of(plan));
  for (const auto& plan : part.unread) unread_.push_back(rows_of(plan));
}

template <typename Head>
void CentreStream<Head>::run(const Surroundings& near, std::size_t begin, std::size_t end, Interruptible& user,
                             const StreamOutput& out) {
  order_.clear();
  for (std::size_t k = begin; k < end; ++k) order_.push_back(near.centre(k));
  std::stable_sort(order_.begin(), order_.end(),
                   [&](std::size_t i, std::size_t j) { return near.species[i] < near.species[j]; });
  for (std::size_t from = 0; from < order_.size();) {
    std::size_t to = from;
    while (to < std::min(order_.size(), from + kBlock) && near.species[order_[to]] == near.species[order_[from]]) ++to;
    user.check();
    block(near, {order_.data() + from, to - from}, out);
    from = to;
  }
}

// Appends the neighbours of an atom: what is too far is overwritten by the next.
template <typename Head>
void CentreStream<Head>::gather(const Surroundings& near, std::size_t atom) {
  std::size_t n = species_.size();
  const std::size_t most = n + length_of_row(near, atom);
  D_.resize(3 * most);
  species_.resize(most);
  neighbor_.resize(most);
  for_each_neighbor(near, atom, [&](std::size_t neighbor, const math::Vec3<double>& D, bool inside) {
    D_[3 * n] = static_cast<T>(D.x);
    D_[3 * n + 1] = static_cast<T>(D.y);
    D_[3 * n + 2] = static_cast<T>(D.z);
    neighbor_[n] = neighbor;
    species_[n] = near.species[neighbor];
    n += inside;
  });
  species_.resize(n);
  first_.push_back(n);
}

// The features of one row that the head reads and, if `all`, the others beside them.
template <typename Head>
void CentreStream<Head>::compute_features(std::size_t element, std::size_t row, bool all) {
  const std::size_t n = part_.n_columns;
  T* const G = G_.data() + row * n;
  const auto load = [&](cpu::FeatureRows<T>& rows) {
    rows.load(D_.data() + 3 * first_[row], species_.data() + first_[row], first_[row + 1] - first_[row]);
  };
  if (read_[element]) {
    load(*read_[element]);
    read_[element]->forward(G);
  } else {
    std::fill_n(G, n, T(0));
  }
  if (!all || !unread_[element]) return;
  others_.resize(n);
  load(*unread_[element]);
  unread_[element]->forward(others_.data());
  for (std::size_t k = 0; k < n; ++k) G[k] += others_[k];
}

template <typename Head>
void CentreStream<Head>::block(const Surroundings& near, span<const std::size_t> atoms, const StreamOutput& out) {
  const std::size_t n_columns = part_.n_columns, n_atoms = near.species.size(), members = part_.head.members();
  const auto element = static_cast<std::size_t>(near.species[atoms[0]]);
  const bool gradients = out.n_gradients > 0, ranges = out.extrapolation && !out.extrapolation->count.empty();
  first_.assign(1, 0);
  species_.clear();
  G_.resize(atoms.size() * n_columns);
  energies_.resize(members * atoms.size());
  for (std::size_t r = 0; r < atoms.size(); ++r) {
    gather(near, atoms[r]);
    compute_features(element, r, ranges);
    if (ranges) part_.ranges.check(element, G_.data() + r * n_columns, *out.extrapolation, atoms[r]);
  }
  if (gradients) g_.resize(out.n_gradients * G_.size());
  part_.head.evaluate(element, G_.data(), atoms.size(), energies_.data(), gradients ? g_.data() : nullptr,
                      out.n_gradients > 1, work_);
  for (std::size_t m = 0; m < members; ++m)
    for (std::size_t r = 0; r < atoms.size(); ++r)
      out.energies[m * n_atoms + atoms[r]] = energies_[m * atoms.size() + r];
  if (out.extrapolation && !out.extrapolation->grade.empty()) grade(element, atoms, *out.extrapolation);
  if (!gradients || !read_[element]) return;
  for (std::size_t r = 0; r < atoms.size(); ++r) add_gradients(near, element, atoms[r], r, out);
}

// Of a block whose energies have been evaluated.
template <typename Head>
void CentreStream<Head>::grade(std::size_t element, span<const std::size_t> atoms, Extrapolation& result) {
  if constexpr (Head::kGrades) {
    grades_.resize(atoms.size());
    part_.head.grade(element, atoms.size(), grades_.data(), work_);
    for (std::size_t r = 0; r < atoms.size(); ++r) result.grade[atoms[r]] = grades_[r];
  }
}

// Each edge pulls at both of its ends, and stretches: dE/dstrain = sum over edges of D (x) g_D.
template <typename Head>
void CentreStream<Head>::add_gradients(const Surroundings& near, std::size_t element, std::size_t atom, std::size_t row,
                                       const StreamOutput& out) {
  const std::size_t begin = first_[row], n = first_[row + 1] - begin;
  const T* const D = D_.data() + 3 * begin;
  g_D_.resize(3 * out.n_gradients * n);
  read_[element]->load(D, species_.data() + begin, n);
  read_[element]->adjoint(g_.data() + row * part_.n_columns, out.n_gradients, G_.size(), g_D_.data());
  for (std::size_t m = 0; m < out.n_gradients; ++m) {
    double* const gradient = out.gradients + m * near.positions.size();
    double* const strain =
        out.strain_gradients + m * near.cells.size() + 9 * static_cast<std::size_t>(near.structure[atom]);
    double own[3] = {}, stretch[9] = {};
    for (std::size_t e = 0; e < n; ++e) {
      const T* const g_D = g_D_.data() + 3 * (m * n + e);
      double* const other = gradient + 3 * neighbor_[begin + e];
      for (std::size_t b = 0; b < 3; ++b) {
        const auto g = static_cast<double>(g_D[b]);
        other[b] += g;
        own[b] += g;
        for (std::size_t a = 0; a < 3; ++a) stretch[3 * a + b] += static_cast<double>(D[3 * e + a]) * g;
      }
    }
    for (std::size_t b = 0; b < 3; ++b) gradient[3 * atom + b] -= own[b];
    for (std::size_t k = 0; k < 9; ++k) strain[k] += stretch[k];
  }
  if (!out.atomic_virials) return;
  for (std::size_t e = 0; e < n; ++e)
    for (std::size_t k = 0; k < 9; ++k)
      out.atomic_virials[9 * neighbor_[begin + e] + k] -=
          static_cast<double>(D[3 * e + k / 3]) * static_cast<double>(g_D_[3 * e + k % 3]);
}

template class CentreStream<ElementNetworks<float>>;
template class CentreStream<ElementNetworks<double>>;
template class CentreStream<ElementKernels>;

}  // namespace atomcore
