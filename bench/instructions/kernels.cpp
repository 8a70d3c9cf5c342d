// One call of a hot kernel, most on 64 or 512 water molecules, for callgrind to count the instructions of: kernels
// NAME.
//
// The structure is made by arithmetic, so that every machine counts the same work. Each kernel runs once before it is
// measured: what is set up on the first call does not count.
#include "src/kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "src/cholesky.hpp"
#include "src/feature_plan.hpp"
#include "src/gdml_model.hpp"
#include "src/kernel_matrix.hpp"
#include "src/md_loop.hpp"
#include "src/mlp.hpp"
#include "src/potential.hpp"
#include "src/verlet.hpp"

using namespace atomcore;

// Collection is on within this function only (callgrind's --toggle-collect), so it must stay a function of this name
// (noipa), and the call must not become a jump that leaves it at once (the barrier).
extern "C" __attribute__((noipa)) void atomcore_measured(void (*run)(const void*), const void* what) {
  run(what);
  asm volatile("" ::: "memory");
}

namespace {

template <typename Body>
void measure(const Body& body) {
  body();
  atomcore_measured([](const void* what) { (*static_cast<const Body*>(what))(); }, &body);
}

double uniform(std::uint64_t& state) {  // in [-1, 1)
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<double>(state >> 11) * 0x1p-52 - 1.0;
}

std::vector<double> uniforms(std::size_t n) {
  std::uint64_t state = 1;
  std::vector<double> values(n);
  for (double& value : values) value = uniform(state);
  return values;
}

struct Water {
  explicit Water(int side) : edge(3.104 * side), cell{edge, 0, 0, 0, edge, 0, 0, 0, edge} {
    std::uint64_t state = 7;
    for (int site = 0; site < side * side * side; ++site) {
      const double at[3] = {3.104 * (site % side), 3.104 * (site / side % side), 3.104 * (site / side / side)};
      const double turn = 3.0 * uniform(state), tilt = uniform(state);
      const double u[3] = {std::cos(turn) * std::sqrt(1 - tilt * tilt), std::sin(turn) * std::sqrt(1 - tilt * tilt),
                           tilt};
      const double v[3] = {-std::sin(turn), std::cos(turn), 0.0};
      for (int k = 0; k < 3; ++k) centre[k] = at[k] + 0.2 * uniform(state);
      for (int atom = 0; atom < 3; ++atom) {
        const double along = atom == 0 ? 0.0 : 0.586, across = atom == 0 ? 0.0 : atom == 1 ? 0.757 : -0.757;
        for (int k = 0; k < 3; ++k) positions.push_back(centre[k] + along * u[k] + across * v[k]);
        species.push_back(atom == 0 ? 1 : 0);
        numbers.push_back(atom == 0 ? 8 : 1);
      }
    }
    ends = {0, static_cast<std::int64_t>(species.size())};
  }
  cpu::NeighborList list(double cutoff) const { return cpu::neighbor_list(positions, cell, pbc, ends, cutoff, 1); }

  double edge;
  std::vector<double> cell;
  double centre[3] = {};
  std::vector<std::uint8_t> pbc{1, 1, 1};
  std::vector<double> positions;
  std::vector<std::int32_t> species, numbers;  // 0: H, 1: O
  std::vector<std::int64_t> ends;
};

FeatureRow function(FunctionType type, int a, int b, double eta, double shift, double zeta, double angle,
                    double cutoff) {
  FeatureRow row{};
  row.type = static_cast<std::int32_t>(type);
  row.a = a, row.b = b;
  row.prefactor = 1.0, row.eta = eta, row.shift = shift, row.zeta = zeta, row.angle = angle, row.cos_scale = 0.95;
  row.cutoff = cutoff;
  return row;
}

// ANI-2x for two elements: 16 radial functions an element, 8 x 4 angular ones a pair.
std::vector<FeatureRow> ani_rows() {
  std::vector<FeatureRow> rows;
  for (int a = 0; a < 2; ++a)
    for (int i = 0; i < 16; ++i)
      rows.push_back(function(FunctionType::radial, a, -1, 19.7, 0.8 + 0.26875 * i, 0, 0, 5.1));
  for (int a = 0; a < 2; ++a)
    for (int b = a; b < 2; ++b)
      for (int i = 0; i < 8; ++i)
        for (int k = 0; k < 4; ++k)
          rows.push_back(
              function(FunctionType::ani, a, b, 12.5, 0.8 + 0.3375 * i, 14.1, (2 * k + 1) * 3.14159265358979 / 8, 3.5));
  return rows;
}
FeaturePlan ani() { return compile_features(ani_rows(), 2); }

// As many of Behler's functions as a usual set for water has: 8 radial ones an element, 4 angular ones a pair.
FeaturePlan behler(FunctionType angular) {
  std::vector<FeatureRow> rows;
  for (int a = 0; a < 2; ++a)
    for (const double eta : {0.0036, 0.036, 0.11, 0.21, 0.54, 1.1, 2.1, 5.4})
      rows.push_back(function(FunctionType::radial, a, -1, eta, eta > 0.3 ? 0.5 : 0.0, 0, 0, 6.35));
  for (int a = 0; a < 2; ++a)
    for (int b = a; b < 2; ++b)
      for (const double sign : {1.0, -1.0}) {
        rows.push_back(function(angular, a, b, 0.11, 0, 1, sign, 6.35));
        rows.push_back(function(angular, a, b, 0.0036, 0, 4, sign, 6.35));
      }
  return compile_features(rows, 2);
}

enum class Mode { forward, vjp };

template <typename T>
void features(const FeaturePlan& plan, Mode mode) {
  const Water water(4);
  const auto list = water.list(plan.cutoff());
  const std::size_t n = water.species.size(), k = static_cast<std::size_t>(plan.n_features());
  std::vector<double> vectors(3 * list.neighbor.size());
  cpu::edge_vectors<double>(water.positions, water.cell, water.ends, list.row_ptr, list.neighbor, list.shift, vectors,
                            1);
  const auto given = uniforms(n * k);
  const std::vector<T> D(vectors.begin(), vectors.end()), g(given.begin(), given.end());
  std::vector<T> G(n * k), g_D(D.size());
  const Graph graph{list.row_ptr, list.neighbor, water.species};
  measure([&] {
    if (mode == Mode::forward)
      cpu::features<T>(plan.view(), graph, D, G, 1);
    else
      cpu::features_vjp<T>(plan.view(), graph, D, g, g_D, 1);
  });
}

void neighbors() {
  const Water water(8);
  measure([&] { water.list(6.0); });
}

void verlet() {  // atoms have moved, and the list still serves
  Water water(8);
  VerletList list(6.0, 1.0);
  list.update(water.positions, water.cell, water.pbc, 1);
  for (double& x : water.positions) x += 0.1;
  measure([&] { list.update(water.positions, water.cell, water.pbc, 1); });
}

// A network with two hidden layers, 64 rows, forward and gradient.
template <typename T>
void network() {
  constexpr std::size_t rows = 64, inputs = 384;
  cpu::Mlp<T> mlp;
  const std::size_t widths[] = {inputs, 160, 96, 1};
  for (int i = 0; i < 3; ++i) {
    const auto weight = uniforms(widths[i] * widths[i + 1]), bias = uniforms(widths[i + 1]);
    mlp.add_layer(std::vector<T>(weight.begin(), weight.end()), std::vector<T>(bias.begin(), bias.end()),
                  i < 2 ? Activation::celu : Activation::identity);
  }
  const auto given = uniforms(rows * inputs);
  std::vector<T> x(given.begin(), given.end()), value(rows), gradient(rows * inputs);
  typename cpu::Mlp<T>::Workspace work;
  measure([&] { mlp.evaluate(x.data(), rows, value.data(), gradient.data(), work); });
}

// Two hidden layers on these functions; features are left as they are.
ModelRecord model(std::vector<FeatureRow> rows) {
  NetworkRecord model{{rows, {}}, compile_features(rows, 2), false, 1, {}};
  const std::size_t k = rows.size();
  for (int element = 0; element < 2; ++element) {
    ElementRecord record{};
    record.symbol = element == 0 ? "H" : "O", record.number = element == 0 ? 1 : 8;
    for (std::size_t c = 0; c < k; ++c) record.columns.push_back(static_cast<std::int64_t>(c));
    record.mean.assign(k, 0.0), record.scale.assign(k, 1.0);
    record.minimum.assign(k, -1e6), record.maximum.assign(k, 1e6);
    const std::size_t widths[] = {k, 64, 64, 1};
    std::vector<LayerRecord> layers;
    for (int i = 0; i < 3; ++i) {
      LayerRecord layer{uniforms(widths[i] * widths[i + 1]), uniforms(widths[i + 1]),
                        i < 2 ? Activation::tanh : Activation::identity};
      for (double& weight : layer.weight) weight *= 0.1;
      layers.push_back(layer);
    }
    record.networks.push_back(layers);
    record.reference = 0.0, record.energy_scale = 1.0;
    model.elements.push_back(record);
  }
  return {"{}", model};
}

void potential(Precision precision) {
  const Water water(4);
  const Potential engine(model(ani_rows()), precision);
  const Structure structure{water.positions, water.cell, water.pbc, water.numbers};
  measure([&] { engine.compute(structure, {true, false, false}, 1); });
}

// Langevin dynamics with a model of a single function within 1.2 A: next to nothing but the loop and its lists.
void dynamics() {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Water water(4);
  const std::size_t n = water.numbers.size();
  const Potential engine(model({function(FunctionType::radial, 0, -1, 1.0, 0, 0, 0, 1.2)}), Precision::float64);
  MdSystem system{water.numbers, {}, {}, {1, 1, 1}};
  for (const std::int32_t number : water.numbers) system.masses.push_back(number == 1 ? 1.008 : 15.999);
  std::copy(water.cell.begin(), water.cell.end(), system.cell.begin());
  const MdConditions conditions{0.01, true, 0.02, 0.1, 5, 1};
  const MdLimits limits{std::vector<double>(n, 0.1), infinity, infinity, infinity, 1.0, infinity, infinity, infinity};
  MdLoop loop(engine, system, conditions, limits, water.positions, std::vector<double>(3 * n), false, 1);
  std::int64_t last = 0;
  measure([&] {
    if (loop.run(last += 20, 1, infinity).outcome != MdOutcome::done) std::abort();
  });
}

void kernel_matrix(math::KernelKind kind) {
  constexpr std::size_t n = 400, n_features = 64;
  const auto x = uniforms(n * n_features);
  const std::vector<double> scales(n_features, 3.0);
  std::vector<double> K(n * n);
  measure([&] {
    cpu::kernel_matrix({static_cast<int>(kind), 0.0, 0.0, 1.0}, n_features, scales.data(), {x.data(), n}, nullptr,
                       K.data(), n, 1);
  });
}

void small_cholesky() {
  constexpr int n = 32, count = 256;
  auto A = uniforms(count * n * n);
  for (int i = 0; i < count * n; ++i) A[static_cast<std::size_t>(i * n + i % n)] += 2.0 * n;
  std::vector<double> L(A.size());
  std::vector<std::int32_t> status(count);
  const cpu::SmallTask<double> task{A.data(), n, L.data(), nullptr, nullptr, 0, nullptr, status.data()};
  measure([&] { cpu::batched_cholesky(task, count, 1); });
}

// Like ethanol: nine atoms, of which three and two may change places.
struct Molecules {
  static constexpr std::size_t n_atoms = 9, n_pairs = 36, count = 64;
  Molecules() : positions(uniforms(count * 3 * n_atoms)), x(count * n_pairs), C(3 * x.size()) {
    for (std::size_t a = 0; a < count * n_atoms; ++a) {  // on a grid, and shaken
      const std::size_t site = a % n_atoms;
      const double at[] = {double(site % 3), double(site / 3), 0.0};
      for (std::size_t k = 0; k < 3; ++k) positions[3 * a + k] = 1.5 * at[k] + 0.2 * positions[3 * a + k];
    }
    const cpu::InverseDistances distances(n_atoms, {});
    for (std::size_t i = 0; i < count; ++i)
      distances.evaluate(&positions[i * 3 * n_atoms], &x[i * n_pairs], &C[i * 3 * n_pairs]);
    for (const std::int64_t turn : {0, 1, 2})
      for (const std::int64_t swap : {0, 1}) {
        for (const std::int64_t a : {0, 1, 2, 3}) permutations.push_back(a);
        for (const std::int64_t a : {0, 1, 2}) permutations.push_back(4 + (a + turn) % 3);
        for (const std::int64_t a : {0, 1}) permutations.push_back(7 + (a + swap) % 2);
      }
  }
  std::vector<double> positions, x, C;
  std::vector<std::int64_t> permutations;
};

void gdml_assembly() {
  const Molecules molecules;
  const cpu::GdmlCovariance covariance(Molecules::n_atoms, molecules.x, molecules.C, molecules.permutations, 10.0);
  const std::size_t n = covariance.size(false);
  std::vector<double> K(n * n);
  measure([&] { covariance.fill(K.data(), cpu::GdmlCovariance::Storage::lower, false, 0, Molecules::count, 1); });
}

void gdml_prediction() {
  const Molecules molecules;
  const GdmlModel model(
      {Molecules::n_atoms, 10.0, 1.0, 0.0, {}, molecules.x, uniforms(molecules.x.size()), {}, molecules.permutations});
  std::vector<double> energies(Molecules::count), gradients(molecules.positions.size());
  GdmlModel::Workspace work;
  measure([&] {
    model.evaluate(molecules.positions.data(), Molecules::count, energies.data(), gradients.data(), nullptr, work);
  });
}

struct Kernel {
  const char* name;
  void (*run)();
};

const Kernel kernels[] = {
    {"neighbors", neighbors},
    {"verlet", verlet},
    {"ani_float", [] { features<float>(ani(), Mode::forward); }},
    {"ani_vjp_float", [] { features<float>(ani(), Mode::vjp); }},
    {"narrow", [] { features<double>(behler(FunctionType::narrow), Mode::forward); }},
    {"narrow_vjp", [] { features<double>(behler(FunctionType::narrow), Mode::vjp); }},
    {"wide_vjp", [] { features<double>(behler(FunctionType::wide), Mode::vjp); }},
    {"network_float", network<float>},
    {"network", network<double>},
    {"potential_float", [] { potential(Precision::float32); }},
    {"potential", [] { potential(Precision::float64); }},
    {"dynamics", dynamics},
    {"kernel_rbf", [] { kernel_matrix(math::KernelKind::rbf); }},
    {"kernel_laplacian", [] { kernel_matrix(math::KernelKind::laplacian); }},
    {"small_cholesky", small_cholesky},
    {"gdml_assembly", gdml_assembly},
    {"gdml_prediction", gdml_prediction},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    for (const Kernel& kernel : kernels) std::puts(kernel.name);
    return 0;
  }
  for (const Kernel& kernel : kernels)
    if (std::strcmp(kernel.name, argv[1]) == 0) {
      kernel.run();
      return 0;
    }
  std::fprintf(stderr, "kernels: unknown kernel %s\n", argv[1]);
  return 2;
}
