// The C interface: checks of pointers and sizes around the objects of the engine, and every exception made a status.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "atomcore/atomcore.h"
#include "src/evaluator.hpp"
#include "src/model_file.hpp"
#include "src/model_info.hpp"

struct atomcore_model {
  explicit atomcore_model(const atomcore::ModelRecord& record, atomcore::Precision precision)
      : potential(record, precision), info(atomcore::model_info(record.metadata)) {
    for (const std::string& symbol : info.symbols) symbols.push_back(symbol.c_str());
  }
  const atomcore::Potential potential;
  const atomcore::ModelInfo info;
  std::vector<const char*> symbols;
};

struct atomcore_workspace {
  atomcore_workspace(const atomcore_model& of, int threads) : model(of), evaluator(of.potential), n_threads(threads) {}
  const atomcore_model& model;
  atomcore::Evaluator evaluator;
  const int n_threads;
};

namespace {

using namespace atomcore;

constexpr std::size_t kLargestStruct = 4096;  // bytes; a larger `size` was never set
constexpr std::int64_t kMostAtoms = std::numeric_limits<std::int32_t>::max();

thread_local char last_error[2048] = "";

atomcore_status fail(atomcore_status status, const char* message) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s", message);
  return status;
}

atomcore_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_value:
      return ATOMCORE_INVALID_VALUE;
    case ErrorCode::out_of_memory:
      return ATOMCORE_OUT_OF_MEMORY;
    case ErrorCode::corrupt_file:
      return ATOMCORE_CORRUPT_FILE;
    case ErrorCode::unsupported:
      return ATOMCORE_UNSUPPORTED;
    case ErrorCode::overflow:
      return ATOMCORE_OVERFLOW;
    case ErrorCode::io:
      return ATOMCORE_IO;
  }
  return ATOMCORE_INTERNAL;
}

template <typename Body>
atomcore_status guard(const Body& body) noexcept {
  try {
    body();
    return ATOMCORE_OK;
  } catch (const Error& e) {
    return fail(status_of(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return fail(ATOMCORE_OUT_OF_MEMORY, "not enough memory");
  } catch (const std::exception& e) {
    return fail(ATOMCORE_INTERNAL, e.what());
  } catch (...) {
    return fail(ATOMCORE_INTERNAL, "an exception of unknown type");
  }
}

[[noreturn]] void invalid(const std::string& what) { throw Error(ErrorCode::invalid_value, what); }
[[noreturn]] void unsupported(const std::string& what) { throw Error(ErrorCode::unsupported, what); }

void require(const void* pointer, const char* name) {
  if (pointer == nullptr) invalid(std::string(name) + " is NULL");
}

void require_array(const void* pointer, std::int64_t length, const char* name) {
  if (pointer == nullptr && length > 0)
    invalid(std::string(name) + " is NULL; accepted: an array for " + std::to_string(length));
}

std::size_t checked_length(std::int64_t length, const char* name) {
  if (length < 0 || length > kMostAtoms)
    invalid(std::string(name) + " is " + std::to_string(length) + "; accepted: 0 to " + std::to_string(kMostAtoms));
  return static_cast<std::size_t>(length);
}

// How much of a struct the caller and this library both know.
template <typename T>
std::size_t known_size(const T* given, const char* name) {
  require(given, name);
  const std::size_t size = given->size;
  if (size <= sizeof given->size || size % alignof(T) != 0 || size > kLargestStruct)
    invalid(std::string(name) + "->size is " + std::to_string(size) + "; accepted: what sizeof gives, as the macros " +
            "ATOMCORE_..._INIT set it");
  return std::min(size, sizeof(T));
}

// What the caller has written, with zeros for members that he does not know.
template <typename T>
T known_members(const T* given, const char* name) {
  T own{};
  std::memcpy(&own, given, known_size(given, name));
  return own;
}

bool wants_spread(const atomcore_results& results) { return results.energies_spread || results.forces_spread; }

bool wants_extrapolation(const atomcore_results& results) { return results.outside || results.excess; }

Request request_of(const atomcore_results& results) {
  Request request;
  request.derivatives = results.forces || results.virials || results.member_forces || results.forces_spread;
  request.spread = wants_spread(results);
  request.extrapolation = wants_extrapolation(results);
  request.grade = results.grade != nullptr;
  request.atomic_virials = results.virials != nullptr;
  request.member_gradients = results.member_forces != nullptr;
  return request;
}

// Whether a model of this kind knows what the results ask for.
void check_wanted(const atomcore_model& model, const atomcore_results& results) {
  const Abilities abilities = model.potential.abilities();
  if (model.info.target != "energy")
    unsupported("the model predicts " + model.info.target + "; accepted: models of energies");
  const std::string of = " cannot be computed: this " + model.info.kind + " model";
  if (!abilities.atomic_energies && (results.energies || results.energies_spread))
    unsupported("energies" + of + " has no energies of atoms");
  if (!abilities.spread && wants_spread(results))
    unsupported("energies_spread, forces_spread" + of + " is no ensemble and was saved without its variance");
  if (!abilities.ranges && wants_extrapolation(results))
    unsupported("outside, excess" + of + " has no ranges of features");
  if (!abilities.grade && results.grade) unsupported("grade" + of + " has no grades of extrapolation");
}

void add(const std::vector<double>& from, double factor, double* to) noexcept {
  if (to)
    for (std::size_t k = 0; k < from.size(); ++k) to[k] += factor * from[k];
}

template <typename T>
void write(const std::vector<T>& from, std::size_t atom, T* to) noexcept {
  if (to) to[atom] = from[atom];
}

// Into arrays of the host, from where on nothing can fail. centre(k) for k < n_centres are the atoms with energies.
template <typename Centre>
void hand_over(const Evaluation& found, const Request& request, std::size_t n_centres, const Centre& centre,
               atomcore_results& results) noexcept {
  results.energy = found.mean.energy;
  add(found.mean.energies, 1.0, results.energies);
  add(found.mean.gradient, -1.0, results.forces);
  add(found.atomic_virials, 1.0, results.virials);
  add(found.member_gradients, -1.0, results.member_forces);
  if (request.derivatives)
    for (std::size_t k = 0; k < 9; ++k) results.virial[k] = -found.mean.strain_gradient[k];
  if (request.spread) results.energy_spread = found.spread.energy;
  for (std::size_t k = 0; k < n_centres; ++k) {
    write(found.spread.energies, centre(k), results.energies_spread);
    write(found.extrapolation.count, centre(k), results.outside);
    write(found.extrapolation.excess, centre(k), results.excess);
    write(found.extrapolation.grade, centre(k), results.grade);
  }
  if (results.forces_spread)
    std::copy(found.spread.gradient.begin(), found.spread.gradient.end(), results.forces_spread);
}

Evaluation compute_structure(atomcore_workspace& workspace, const atomcore_structure& given, const Request& request) {
  static constexpr double kNoCell[9] = {};
  const std::size_t n = checked_length(given.n_atoms, "n_atoms");
  require_array(given.positions, given.n_atoms, "positions");
  require_array(given.numbers, given.n_atoms, "numbers");
  std::uint8_t pbc[3];
  for (int k = 0; k < 3; ++k) pbc[k] = given.pbc ? given.pbc[k] != 0 : given.cell != nullptr;
  return workspace.evaluator.compute(
      {{given.positions, 3 * n}, {given.cell ? given.cell : kNoCell, 9}, {pbc, 3}, {given.numbers, n}}, request,
      workspace.n_threads);
}

HostNeighbors host_neighbors(const atomcore_neighbors& given) {
  const std::size_t n = checked_length(given.n_atoms, "n_atoms");
  const std::size_t n_centres = checked_length(given.n_centres, "n_centres");
  const std::size_t n_types = given.element_of_type ? checked_length(given.n_types, "n_types") : 0;
  if (given.element_of_type && n_types == 0) invalid("n_types is 0; accepted: the length of element_of_type");
  require_array(given.positions, given.n_atoms, "positions");
  require_array(given.types, given.n_atoms, "types");
  require_array(given.ilist, given.n_centres, "ilist");
  require_array(given.numneigh, given.n_centres, "numneigh");
  require_array(given.firstneigh, given.n_centres, "firstneigh");
  return {{given.positions, 3 * n},
          {given.types, n},
          {given.element_of_type, n_types},
          {given.ilist, n_centres},
          given.numneigh,
          given.firstneigh,
          given.neighbor_mask != 0 ? given.neighbor_mask : -1};
}

}  // namespace

const char* atomcore_version(void) { return ATOMCORE_VERSION; }

const char* atomcore_last_error(void) { return last_error; }

atomcore_status atomcore_model_load(const char* path, const atomcore_load_options* options, atomcore_model** model) {
  return guard([&] {
    require(path, "path");
    require(model, "model");
    const bool single = options != nullptr && known_members(options, "options").single_precision != 0;
    *model = new atomcore_model(read_model_file(path), single ? Precision::float32 : Precision::float64);
  });
}

void atomcore_model_free(atomcore_model* model) { delete model; }

atomcore_status atomcore_model_info(const atomcore_model* model, atomcore_info* info) {
  return guard([&] {
    require(model, "model");
    const std::size_t size = known_size(info, "info");
    const Abilities abilities = model->potential.abilities();
    const ModelInfo& found = model->info;
    const atomcore_info own{info->size,
                            found.kind.c_str(),
                            found.capability.c_str(),
                            found.target.c_str(),
                            model->potential.cutoff(),
                            static_cast<std::int32_t>(found.symbols.size()),
                            model->symbols.data(),
                            found.numbers.data(),
                            found.members,
                            abilities.atomic_energies,
                            abilities.spread,
                            abilities.ranges,
                            abilities.grade,
                            model->potential.metadata().c_str()};
    std::memcpy(info, &own, size);
  });
}

int32_t atomcore_element_index(const atomcore_model* model, const char* symbol) {
  if (model == nullptr || symbol == nullptr) return -1;
  const std::vector<std::string>& symbols = model->info.symbols;
  const auto found = std::find(symbols.begin(), symbols.end(), symbol);
  return found == symbols.end() ? -1 : static_cast<int32_t>(found - symbols.begin());
}

atomcore_status atomcore_workspace_create(const atomcore_model* model, int32_t n_threads,
                                          atomcore_workspace** workspace) {
  return guard([&] {
    require(model, "model");
    require(workspace, "workspace");
    if (n_threads < 1) invalid("n_threads is " + std::to_string(n_threads) + "; accepted: 1 or more");
    *workspace = new atomcore_workspace(*model, n_threads);
  });
}

void atomcore_workspace_free(atomcore_workspace* workspace) { delete workspace; }

atomcore_status atomcore_compute(atomcore_workspace* workspace, const atomcore_structure* structure,
                                 atomcore_results* results) {
  return guard([&] {
    require(workspace, "workspace");
    const atomcore_structure given = known_members(structure, "structure");
    atomcore_results wanted = known_members(results, "results");
    check_wanted(workspace->model, wanted);
    const Request request = request_of(wanted);
    const Evaluation found = compute_structure(*workspace, given, request);
    hand_over(found, request, static_cast<std::size_t>(given.n_atoms), [](std::size_t k) { return k; }, wanted);
    std::memcpy(results, &wanted, known_size(results, "results"));
  });
}

atomcore_status atomcore_compute_neighbors(atomcore_workspace* workspace, const atomcore_neighbors* neighbors,
                                           atomcore_results* results) {
  return guard([&] {
    require(workspace, "workspace");
    const atomcore_neighbors given = known_members(neighbors, "neighbors");
    atomcore_results wanted = known_members(results, "results");
    const ModelInfo& info = workspace->model.info;
    if (info.capability != "local")
      unsupported("the model of the kind " + info.kind + " has the capability '" + info.capability +
                  "'; neighbour lists serve models that are 'local'");
    check_wanted(workspace->model, wanted);
    if (wanted.forces_spread)
      unsupported("forces_spread is of whole structures only: ask for member_forces, and add up those of ghost atoms");
    const Request request = request_of(wanted);
    const Evaluation found = workspace->model.potential.compute(host_neighbors(given), request, workspace->n_threads);
    const auto centre = [&](std::size_t k) { return static_cast<std::size_t>(given.ilist[k]); };
    hand_over(found, request, static_cast<std::size_t>(given.n_centres), centre, wanted);
    std::memcpy(results, &wanted, known_size(results, "results"));
  });
}
