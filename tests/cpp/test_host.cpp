// Neighbour lists of a host: what they give is what a whole structure gives, and what makes no sense is refused.
#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "host_case.hpp"
#include "src/error.hpp"

using namespace atomcore;
using host_case::Crystal;
using host_case::Host;

namespace {

constexpr double kRounding = 1e-12;
const Request kAll{true, true, true, false, true, true};

// Rows of `width` numbers, those of ghosts added to those of the atoms whose images they are.
std::vector<double> folded(const Host& host, const std::vector<double>& values, std::size_t width) {
  std::vector<double> result(width * host.own);
  for (std::size_t i = 0; i < host.original.size(); ++i)
    for (std::size_t x = 0; x < width; ++x) result[width * host.original[i] + x] += values[width * i + x];
  return result;
}

std::vector<double> of_own(const Host& host, const std::vector<double>& values) {
  return {values.begin(), values.begin() + static_cast<std::ptrdiff_t>(host.own)};
}

std::vector<double> sum_of_rows(const std::vector<double>& rows) {
  std::vector<double> sum(9);
  for (std::size_t k = 0; k < rows.size(); ++k) sum[k % 9] += rows[k];
  return sum;
}

std::vector<double> negative(const std::array<double, 9>& values) {
  std::vector<double> result;
  for (const double x : values) result.push_back(-x);
  return result;
}

std::vector<double> member_of(const std::vector<double>& values, std::size_t m, std::size_t members) {
  const auto size = static_cast<std::ptrdiff_t>(values.size() / members), at = static_cast<std::ptrdiff_t>(m) * size;
  return {values.begin() + at, values.begin() + at + size};
}

void same_as_whole(const Potential& potential, int n) {
  const Crystal crystal(n);
  const Host host(crystal);
  const Evaluation whole = potential.compute(crystal.structure(), kAll, 1);
  const Evaluation found = potential.compute(host.neighbors(), kAll, 1);
  const char* const where = "a host against a whole structure";
  check_close(where, "energy", {found.mean.energy, found.spread.energy}, {whole.mean.energy, whole.spread.energy},
              kRounding);
  check_close(where, "energies", of_own(host, found.mean.energies), whole.mean.energies, kRounding);
  check_close(where, "spread of energies", of_own(host, found.spread.energies), whole.spread.energies, kRounding);
  check_close(where, "gradient", folded(host, found.mean.gradient, 3), whole.mean.gradient, kRounding);
  check_close(where, "strain gradient", negative(found.mean.strain_gradient), negative(whole.mean.strain_gradient),
              kRounding);
  check_close(where, "virials", folded(host, found.atomic_virials, 9), whole.atomic_virials, kRounding);
  check_close(where, "excess", of_own(host, found.extrapolation.excess), whole.extrapolation.excess, kRounding);
  for (std::size_t m = 0; m < 2; ++m)
    check_close(where, "gradient of a member", folded(host, member_of(found.member_gradients, m, 2), 3),
                member_of(whole.member_gradients, m, 2), kRounding);
  check(found.spread.gradient.empty(), "no spread of gradients that are parts");
  check_close("virials of atoms", "sum", sum_of_rows(found.atomic_virials), negative(found.mean.strain_gradient),
              kRounding);
}

// Of one centre alone, the gradient at a neighbour is that of the pair.
void virials_of_pairs(const Potential& potential) {
  const Crystal crystal(2);
  const Host host(crystal);
  std::vector<double> expected(9 * host.types.size());
  for (std::size_t centre = 0; centre < host.own; ++centre) {
    HostNeighbors one = host.neighbors();
    const auto atom = static_cast<std::int32_t>(centre);
    one.centres = {&atom, 1};
    const std::vector<double> g = potential.compute(one, {true}, 1).mean.gradient;
    for (const std::int32_t neighbor : host.lists[centre])
      for (std::size_t k = 0; k < 9; ++k) {
        const auto j = static_cast<std::size_t>(neighbor);
        expected[9 * j + k] -= (host.positions[3 * j + k / 3] - host.positions[3 * centre + k / 3]) * g[3 * j + k % 3];
      }
  }
  const Request request{true, false, false, false, true};
  check_close("virials of atoms", "pair by pair", potential.compute(host.neighbors(), request, 1).atomic_virials,
              expected, kRounding);
}

void batches(const Potential& potential) {
  const Crystal small(2), large(3);
  const std::vector<Structure> structures{small.structure(), large.structure(), small.structure()};
  const std::vector<Evaluation> found = potential.compute(span<const Structure>(structures), kAll, 2);
  for (std::size_t s = 0; s < structures.size(); ++s) {
    const Evaluation alone = potential.compute(structures[s], kAll, 1);
    check(found[s].atomic_virials == alone.atomic_virials, "virials of atoms in a batch");
    check(found[s].member_gradients == alone.member_gradients, "gradients of members in a batch");
  }
}

void same_bits(const Potential& potential) {
  const Host host{Crystal(6)};
  const Evaluation one = potential.compute(host.neighbors(), kAll, 1);
  for (const int n_threads : {2, 3, 8}) {
    const Evaluation many = potential.compute(host.neighbors(), kAll, n_threads);
    check(one.mean.energies == many.mean.energies && one.mean.gradient == many.mean.gradient &&
              one.mean.strain_gradient == many.mean.strain_gradient && one.atomic_virials == many.atomic_virials &&
              one.member_gradients == many.member_gradients,
          "the same bits with " + std::to_string(n_threads) + " threads");
  }
}

// Domains of a host add up to the whole.
void domains(const Potential& potential) {
  const Host host{Crystal(3)};
  const Evaluation whole = potential.compute(host.neighbors(), kAll, 1);
  std::vector<double> gradient(whole.mean.gradient.size());
  double energy = 0.0;
  for (const bool upper : {false, true}) {
    HostNeighbors part = host.neighbors();
    const std::size_t cut = 10;
    part.centres = {host.ilist.data() + (upper ? cut : 0), upper ? host.ilist.size() - cut : cut};
    const Evaluation found = potential.compute(part, kAll, 1);
    energy += found.mean.energy;
    for (std::size_t k = 0; k < gradient.size(); ++k) gradient[k] += found.mean.gradient[k];
  }
  check_close("domains", "energy", {energy}, {whole.mean.energy}, kRounding);
  check_close("domains", "gradient", gradient, whole.mean.gradient, kRounding);
  HostNeighbors none = host.neighbors();
  none.centres = {};
  const Evaluation nothing = potential.compute(none, kAll, 2);
  check(nothing.mean.energy == 0.0 && nothing.mean.gradient == std::vector<double>(gradient.size()), "no centres");
  check(potential.compute(HostNeighbors{{}, {}, {}, {}, nullptr, nullptr, -1}, kAll, 1).mean.energy == 0.0, "no atoms");
}

// Bits beyond the mask, and types of which one is not seen: as if these atoms were not there.
void masks_and_types(const Potential& potential) {
  Host host{Crystal(2)};
  const Evaluation plain = potential.compute(host.neighbors(), kAll, 1);
  for (auto& list : host.lists)
    for (std::size_t k = 0; k < list.size(); ++k) list[k] |= static_cast<std::int32_t>(k % 4) << 30;
  HostNeighbors masked = host.neighbors();
  masked.mask = 0x3FFFFFFF;
  check(potential.compute(masked, kAll, 1).mean.gradient == plain.mean.gradient, "bits of a host are masked");

  const std::int32_t elements[] = {1, -1, 0};
  for (std::size_t i = 0; i < host.types.size(); ++i) host.types[i] = host.types[i] == 0 ? 2 : 0;
  masked.element_of_type = {elements, 3};
  check(potential.compute(masked, kAll, 1).mean.gradient == plain.mean.gradient, "types are mapped to elements");

  std::vector<bool> seen(host.types.size());
  for (std::size_t i = 0; i < seen.size(); ++i) {
    seen[i] = host.original[i] % 3 != 1;
    if (!seen[i]) host.types[i] = 1;
  }
  const Evaluation hidden = potential.compute(masked, kAll, 1);
  std::vector<std::int32_t> centres;
  for (const std::int32_t i : host.ilist)
    if (seen[static_cast<std::size_t>(i)]) centres.push_back(i);
  for (std::size_t i = 0; i < host.own; ++i) {
    auto& list = host.lists[i];
    const auto gone = [&](std::int32_t j) { return !seen[static_cast<std::size_t>(j & masked.mask)]; };
    list.erase(std::remove_if(list.begin(), list.end(), gone), list.end());
    host.count[i] = static_cast<std::int32_t>(list.size());
  }
  for (auto& type : host.types) type = type == 1 ? 2 : type;
  masked.centres = centres;
  const Evaluation removed = potential.compute(masked, kAll, 1);
  check(hidden.mean.energy == removed.mean.energy && hidden.mean.gradient == removed.mean.gradient,
        "atoms that the model is not to see");
}

void refused(const std::string& what, const std::function<void()>& run) {
  std::string message = "nothing";
  try {
    run();
  } catch (const Error& error) {
    message = error.what();
  }
  check(message.find(what) != std::string::npos, "'" + what + "' expected, got '" + message + "'");
}

void nonsense(const Potential& potential) {
  const auto broken = [&](const std::string& what, const std::function<void(Host&, HostNeighbors&)>& change) {
    Host host{Crystal(2)};
    HostNeighbors neighbors = host.neighbors();
    change(host, neighbors);
    refused(what, [&] { potential.compute(neighbors, kAll, 1); });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  broken("positions", [&](Host& host, HostNeighbors&) { host.positions[4] = nan; });
  broken("positions", [&](Host& host, HostNeighbors&) { host.positions.back() = infinity; });
  broken("positions", [&](Host& host, HostNeighbors& n) { n.positions = {host.positions.data(), 3}; });
  broken("types[3] is 2; accepted: 0 to 1", [&](Host& host, HostNeighbors&) { host.types[3] = 2; });
  broken("types[0] is -1", [&](Host& host, HostNeighbors&) { host.types[0] = -1; });
  broken("ilist[1] is 100000", [&](Host& host, HostNeighbors&) { host.ilist[1] = 100000; });
  broken("ilist[1] is -2", [&](Host& host, HostNeighbors&) { host.ilist[1] = -2; });
  broken("every atom once", [&](Host& host, HostNeighbors&) { host.ilist[1] = host.ilist[0]; });
  broken("numneigh[2] is -1", [&](Host& host, HostNeighbors&) { host.count[2] = -1; });
  broken("firstneigh[2] is NULL", [&](Host& host, HostNeighbors&) { host.first[2] = nullptr; });
  broken("firstneigh[5][1] is 99999", [&](Host& host, HostNeighbors&) { host.lists[5][1] = 99999; });
  broken("firstneigh[5][1] is -7", [&](Host& host, HostNeighbors&) { host.lists[5][1] = -7; });
  broken("atoms 1 and 0 are at the same place",
         [&](Host& host, HostNeighbors&) { std::copy_n(host.positions.begin(), 3, host.positions.begin() + 3); });
  const std::int32_t elements[] = {0, 7};
  broken("element_of_type[1] is 7", [&](Host&, HostNeighbors& n) { n.element_of_type = {elements, 2}; });
}

}  // namespace

int main() {
  const Potential potential(host_case::model(2), Precision::float64);
  for (const int n : {2, 3, 5}) same_as_whole(potential, n);
  virials_of_pairs(potential);
  batches(potential);
  same_bits(potential);
  domains(potential);
  masks_and_types(potential);
  nonsense(potential);
  const Potential single(host_case::model(1), Precision::float64);
  const Host host{Crystal(2)};
  const Request request{true, false, false, false, false, true};
  const Evaluation found = single.compute(host.neighbors(), request, 1);
  check(found.member_gradients == found.mean.gradient, "a single model is its only member");
  return report();
}
