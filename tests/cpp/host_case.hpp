// A small ensemble and a shaken crystal, whole and as a molecular-dynamics host has it: with ghost atoms and lists.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "src/model_file.hpp"
#include "src/potential.hpp"

namespace host_case {

constexpr double kCutoff = 3.0, kSkin = 0.4;  // Angstrom
constexpr std::int32_t kNumbers[2] = {6, 14};

inline atomcore::ElementRecord element_record(std::size_t n_features, std::size_t members, std::mt19937& random) {
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  const auto values = [&](std::size_t n) {
    std::vector<double> result(n);
    for (double& x : result) x = uniform(random);
    return result;
  };
  atomcore::ElementRecord element{};
  for (std::size_t k = 0; k < n_features; ++k) element.columns.push_back(static_cast<std::int64_t>(k));
  element.mean.assign(n_features, 0.1);
  element.scale.assign(n_features, 1.5);
  element.minimum.assign(n_features, 0.0);
  element.maximum.assign(n_features, 0.3);
  for (std::size_t m = 0; m < members; ++m)
    element.networks.push_back({{values(5 * n_features), values(5), atomcore::Activation::tanh},
                                {values(5), values(1), atomcore::Activation::identity}});
  element.reference = -3.0;
  element.energy_scale = 0.7;
  return element;
}

inline atomcore::ModelRecord model(std::size_t members) {
  using atomcore::FunctionType;
  std::vector<atomcore::FeatureRow> rows;
  for (const std::int32_t a : {0, 1})
    for (const double shift : {0.0, 1.8})
      rows.push_back({static_cast<std::int32_t>(FunctionType::radial), a, -1, 1.0, 1.2, shift, 0.0, 0.0, 1.0, kCutoff});
  for (const auto [a, b] : {std::pair{0, 0}, {0, 1}, {1, 1}})
    rows.push_back(
        {static_cast<std::int32_t>(FunctionType::narrow), a, b, 1.0, 0.1, 0.0, 2.0, 1.0, 1.0, 0.9 * kCutoff});
  std::mt19937 random(7);
  std::vector<atomcore::ElementRecord> elements;
  for (const std::int32_t number : kNumbers) {
    elements.push_back(element_record(rows.size(), members, random));
    elements.back().number = number;
  }
  return {"{}", atomcore::NetworkRecord{{rows, {}}, compile_features(rows, 2), false, members, elements}};
}

// A triclinic cell of n^3 atoms of two elements.
struct Crystal {
  std::vector<double> positions, cell;
  std::vector<std::int32_t> numbers, species;
  std::vector<std::uint8_t> pbc{1, 1, 1};

  explicit Crystal(int n) {
    std::mt19937 random(11);
    std::uniform_real_distribution<double> shake(-0.15, 0.15);
    const double L = 1.9 * n;
    cell = {L, 0.0, 0.0, 0.15 * L, L, 0.0, -0.1 * L, 0.05 * L, L};
    for (int i = 0; i < n * n * n; ++i) {
      const double f[3] = {double(i / (n * n)) / n, double(i / n % n) / n, double(i % n) / n};
      for (std::size_t x = 0; x < 3; ++x)
        positions.push_back(f[0] * cell[x] + f[1] * cell[3 + x] + f[2] * cell[6 + x] + shake(random));
      species.push_back(i % 3 == 0 ? 1 : 0);
      numbers.push_back(kNumbers[species.back()]);
    }
  }
  std::size_t size() const { return numbers.size(); }
  atomcore::Structure structure() const { return {positions, cell, pbc, numbers}; }
};

// Its atoms, then images of them as ghost atoms; lists reach a skin beyond the cutoff.
struct Host {
  std::size_t own;                    // atoms that are no ghosts
  std::vector<double> positions;      // [N, 3]
  std::vector<std::int32_t> types;    // [N]
  std::vector<std::size_t> original;  // [N], of which atom it is an image
  std::vector<std::vector<std::int32_t>> lists;
  std::vector<std::int32_t> ilist, count;
  std::vector<const std::int32_t*> first;

  explicit Host(const Crystal& crystal) : own(crystal.size()), positions(crystal.positions), types(crystal.species) {
    for (std::size_t i = 0; i < own; ++i) original.push_back(i);
    for (int image = 0; image < 125; ++image) {
      const int s[3] = {image / 25 - 2, image / 5 % 5 - 2, image % 5 - 2};
      if (s[0] == 0 && s[1] == 0 && s[2] == 0) continue;
      for (std::size_t i = 0; i < own; ++i) add_ghost(crystal, i, s);
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      lists.emplace_back();
      for (std::size_t j = 0; j < types.size() && i < own; ++j)
        if (j != i && distance(i, j) < kCutoff + kSkin) lists.back().push_back(static_cast<std::int32_t>(j));
    }
    for (const auto& list : lists) {
      count.push_back(static_cast<std::int32_t>(list.size()));
      first.push_back(list.data());
    }
    for (std::size_t i = own; i-- > 0;) ilist.push_back(static_cast<std::int32_t>(i));
  }

  double distance(std::size_t i, std::size_t j) const {
    const double *a = &positions[3 * i], *b = &positions[3 * j];
    return std::sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
  }
  atomcore::HostNeighbors neighbors() const { return {positions, types, {}, ilist, count.data(), first.data(), -1}; }

 private:
  void add_ghost(const Crystal& crystal, std::size_t atom, const int* s) {
    for (std::size_t x = 0; x < 3; ++x)
      positions.push_back(crystal.positions[3 * atom + x] + s[0] * crystal.cell[x] + s[1] * crystal.cell[3 + x] +
                          s[2] * crystal.cell[6 + x]);
    types.push_back(crystal.species[atom]);
    original.push_back(atom);
    const std::size_t ghost = types.size() - 1;
    for (std::size_t i = 0; i < own; ++i)
      if (distance(i, ghost) < kCutoff + kSkin) return;
    positions.resize(3 * ghost);
    types.pop_back();
    original.pop_back();
  }
};

}  // namespace host_case
