#include "src/streams.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "src/parallel.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kLeastChunk = kLargeStructure / 2;  // atoms
constexpr std::size_t kMostChunks = 32;
constexpr std::size_t kUnit = 256;  // atoms of small structures that a thread takes at a time

// A power of two, so that common numbers of threads share the chunks evenly.
std::size_t chunk_count(std::size_t n_atoms) {
  std::size_t count = 1;
  while (count < kMostChunks && 2 * count * kLeastChunk <= n_atoms) count *= 2;
  return count;
}

bool judges(const Request& request) { return request.extrapolation || request.grade; }

Extrapolation room_for(const Request& request, std::size_t n_atoms) {
  const std::size_t n = request.extrapolation ? n_atoms : 0;
  return {std::vector<std::int32_t>(n), std::vector<double>(n), std::vector<std::int32_t>(n),
          std::vector<double>(request.grade ? n_atoms : 0)};
}

std::size_t gradient_count(const Request& request, const Surroundings& near, std::size_t members) {
  if (!request.derivatives) return 0;
  const bool each = request.member_gradients || (request.spread && !near.host);
  return members > 1 && each ? 1 + members : 1;
}

std::size_t virial_count(const Request& request) { return request.derivatives && request.atomic_virials ? 9 : 0; }

double* pointer(std::vector<double>& values) { return values.empty() ? nullptr : values.data(); }

// to[i] = to[i] + from[i], and from[i] = 0
void move_sum(std::vector<double>& from, double* to, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) to[i] += from[i], from[i] = 0.0;
}

// What one chunk adds up, until it is its turn to go into the total.
template <typename Head>
struct Slot {
  Slot(const ModelPart<Head>& part, const MemberValues& total)
      : stream(part),
        gradients(total.gradients.size()),
        strain_gradients(total.strain_gradients.size()),
        atomic_virials(total.atomic_virials.size()) {}
  CentreStream<Head> stream;
  std::vector<double> gradients, strain_gradients, atomic_virials;
};

}  // namespace

// As many chunks at a time as there are threads; then their sums are added to the total in the order of the chunks.
template <typename Head>
MemberValues evaluate(const ModelPart<Head>& part, const Surroundings& near, const Request& request,
                      Extrapolation& extrapolation, int n_threads) {
  const std::size_t n_atoms = near.species.size(), n_centres = near.n_centres(), members = part.head.members();
  const std::size_t chunks = chunk_count(n_centres), count = gradient_count(request, near, members);
  const std::size_t n_slots = std::clamp<std::size_t>(static_cast<std::size_t>(n_threads), 1, chunks);
  MemberValues values{std::vector<double>(members * n_atoms), std::vector<double>(count * 3 * n_atoms),
                      std::vector<double>(count * 9), std::vector<double>(virial_count(request) * n_atoms)};
  extrapolation = room_for(request, n_atoms);
  std::vector<std::unique_ptr<Slot<Head>>> slots;
  for (std::size_t s = 0; s < n_slots; ++s) slots.push_back(std::make_unique<Slot<Head>>(part, values));
  Interruptible user;
  for (std::size_t first = 0; first < chunks; first += n_slots) {
    const std::size_t now = std::min(n_slots, chunks - first);
    parallel_for(static_cast<std::int64_t>(now), n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto s = static_cast<std::size_t>(begin); s < static_cast<std::size_t>(end); ++s) {
        const StreamOutput out{
            values.energies.data(),     judges(request) ? &extrapolation : nullptr, count,
            slots[s]->gradients.data(), slots[s]->strain_gradients.data(),          pointer(slots[s]->atomic_virials)};
        slots[s]->stream.run(near, n_centres * (first + s) / chunks, n_centres * (first + s + 1) / chunks, user, out);
      }
    });
    for (const auto& [of_slot, total] : {std::pair{&Slot<Head>::gradients, &values.gradients},
                                         {&Slot<Head>::strain_gradients, &values.strain_gradients},
                                         {&Slot<Head>::atomic_virials, &values.atomic_virials}})
      parallel_for(static_cast<std::int64_t>(total->size()), n_threads, 1 << 14,
                   [&, of_slot = of_slot, total = total](std::int64_t begin, std::int64_t end) {
                     for (std::size_t s = 0; s < now; ++s)
                       move_sum((*slots[s]).*of_slot, total->data(), static_cast<std::size_t>(begin),
                                static_cast<std::size_t>(end));
                   });
  }
  return values;
}

// Structures do not touch one another, so that threads add to one array.
template <typename Head>
void evaluate_small(const ModelPart<Head>& part, const Surroundings& near, span<const std::int64_t> structure_ptr,
                    const Request& request, span<MemberValues> values, span<Extrapolation> extrapolations,
                    int n_threads) {
  const std::size_t n_atoms = near.species.size(), members = part.head.members(), n = values.size();
  const std::size_t count = gradient_count(request, near, members);
  std::vector<double> energies(members * n_atoms), gradients(count * 3 * n_atoms), strains(count * 9 * n);
  std::vector<double> virials(virial_count(request) * n_atoms);
  Extrapolation found = room_for(request, n_atoms);
  std::vector<std::size_t> units{0};  // structures
  const auto first_atom = [&](std::size_t s) { return static_cast<std::size_t>(structure_ptr[s]); };
  for (std::size_t s = 1; s <= n; ++s)
    if (s == n || first_atom(s) - first_atom(units.back()) >= kUnit) units.push_back(s);
  Interruptible user;
  const StreamOutput out{energies.data(), judges(request) ? &found : nullptr, count, gradients.data(), strains.data(),
                         pointer(virials)};
  parallel_for(static_cast<std::int64_t>(units.size()) - 1, n_threads, 1, [&](std::int64_t begin, std::int64_t end) {
    CentreStream<Head> stream(part);
    for (auto u = static_cast<std::size_t>(begin); u < static_cast<std::size_t>(end); ++u)
      stream.run(near, first_atom(units[u]), first_atom(units[u + 1]), user, out);
  });
  const auto cut = [](auto& result, const auto& from, std::size_t pieces, std::size_t length, std::size_t begin,
                      std::size_t size) {
    for (std::size_t p = 0; p < pieces; ++p) {
      const auto piece = from.begin() + static_cast<std::ptrdiff_t>(p * length + begin);
      result.insert(result.end(), piece, piece + static_cast<std::ptrdiff_t>(size));
    }
  };
  for (std::size_t s = 0; s < n; ++s) {
    const std::size_t begin = first_atom(s), size = first_atom(s + 1) - begin;
    cut(values[s].energies, energies, members, n_atoms, begin, size);
    cut(values[s].gradients, gradients, count, 3 * n_atoms, 3 * begin, 3 * size);
    cut(values[s].strain_gradients, strains, count, 9 * n, 9 * s, 9);
    if (!virials.empty()) cut(values[s].atomic_virials, virials, 1, 9 * n_atoms, 9 * begin, 9 * size);
    if (request.grade) cut(extrapolations[s].grade, found.grade, 1, n_atoms, begin, size);
    if (!request.extrapolation) continue;
    cut(extrapolations[s].count, found.count, 1, n_atoms, begin, size);
    cut(extrapolations[s].excess, found.excess, 1, n_atoms, begin, size);
    cut(extrapolations[s].feature, found.feature, 1, n_atoms, begin, size);
  }
}

#define ATOMCORE_INSTANTIATE(Head)                                                                                    \
  template MemberValues evaluate(const ModelPart<Head>&, const Surroundings&, const Request&, Extrapolation&, int);   \
  template void evaluate_small(const ModelPart<Head>&, const Surroundings&, span<const std::int64_t>, const Request&, \
                               span<MemberValues>, span<Extrapolation>, int);
ATOMCORE_INSTANTIATE(ElementNetworks<float>)
ATOMCORE_INSTANTIATE(ElementNetworks<double>)
ATOMCORE_INSTANTIATE(ElementKernels)
#undef ATOMCORE_INSTANTIATE

}  // namespace atomcore
