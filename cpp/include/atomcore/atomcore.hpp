// The C interface (atomcore.h) for C++17: what is loaded frees itself, lengths of arrays are checked, and failures are
// exceptions. Only headers, so that programs and library need not share a compiler.
//
//   atomcore::Model model("water.atomcore");
//   atomcore::Workspace workspace(model);
//   std::vector<double> forces(positions.size());  // forces are added to what is there
//   atomcore::Results results;
//   results.forces = forces;
//   workspace.compute({positions, numbers}, results);
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "atomcore/atomcore.h"
#include "atomcore/span.hpp"

namespace atomcore {
inline namespace host {  // names of its own beside those within the library

class Error : public std::runtime_error {
 public:
  Error(atomcore_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
  atomcore_status status() const { return status_; }

 private:
  atomcore_status status_;
};

inline void check(atomcore_status status) {
  if (status != ATOMCORE_OK) throw Error(status, atomcore_last_error());
}

// A loaded model. Copies share it; any number of threads may use it at a time.
class Model {
 public:
  explicit Model(const std::string& path, bool single_precision = false) {
    atomcore_load_options options = ATOMCORE_LOAD_OPTIONS_INIT;
    options.single_precision = single_precision;
    atomcore_model* model = nullptr;
    check(atomcore_model_load(path.c_str(), &options, &model));
    model_.reset(model, atomcore_model_free);
    check(atomcore_model_info(model, &info_));
  }

  const atomcore_info& info() const { return info_; }
  double cutoff() const { return info_.cutoff; }  // Angstrom; 0 unless the model is local
  std::vector<std::string> symbols() const { return {info_.symbols, info_.symbols + info_.n_elements}; }
  span<const std::int32_t> numbers() const { return {info_.numbers, static_cast<std::size_t>(info_.n_elements)}; }
  std::size_t members() const { return static_cast<std::size_t>(info_.members); }
  std::string metadata() const { return info_.metadata; }  // the JSON text of the file
  // The index of an element by its symbol, or -1.
  std::int32_t element_index(const std::string& symbol) const {
    return atomcore_element_index(model_.get(), symbol.c_str());
  }
  std::shared_ptr<const atomcore_model> handle() const { return model_; }

 private:
  std::shared_ptr<atomcore_model> model_;
  atomcore_info info_ = ATOMCORE_INFO_INIT;
};

// A whole structure. Without a cell nothing is periodic.
struct Structure {
  span<const double> positions;      // [N, 3], Angstrom
  span<const std::int32_t> numbers;  // [N], atomic numbers
  span<const double> cell{};         // [3, 3], lattice vectors as rows, or empty
  std::array<bool, 3> pbc{true, true, true};
};

// Some atoms with the full neighbour lists of a host, of the host's own and its ghost atoms: see atomcore_neighbors.
struct Neighbors {
  span<const double> positions;      // [N, 3], Angstrom
  span<const std::int32_t> types;    // [N]
  span<const std::int32_t> ilist;    // the centres
  const std::int32_t* numneigh;      // [N], by atom
  const std::int32_t* const* lists;  // [N], by atom
  span<const std::int32_t> element_of_type{};
  std::int32_t mask = 0;
};

// Numbers, and the arrays to fill: those that are left empty are not computed. Forces, energies, virials and member
// forces are added to what the arrays hold.
struct Results {
  double energy = 0.0;             // eV
  std::array<double, 9> virial{};  // eV, sum of r (x) f; where forces, virials or member forces are wanted
  double energy_spread = 0.0;      // eV; where a spread is wanted
  span<double> forces{};           // [N, 3], eV/A
  span<double> energies{};         // [N], eV
  span<double> virials{};          // [N, 9], eV
  span<double> member_forces{};    // [members, N, 3], eV/A
  span<double> energies_spread{};  // [N], eV
  span<double> forces_spread{};    // [N, 3], eV/A
  span<std::int32_t> outside{};    // [N]
  span<double> excess{}, grade{};  // [N]
};

// Room for the calculations of one thread, which may use n_threads of its own.
class Workspace {
 public:
  explicit Workspace(const Model& model, int n_threads = 1) : model_(model) {
    atomcore_workspace* workspace = nullptr;
    check(atomcore_workspace_create(model.handle().get(), n_threads, &workspace));
    workspace_.reset(workspace);
  }

  void compute(const Structure& structure, Results& results) {
    const std::size_t n = structure.numbers.size();
    require("positions", structure.positions.size(), 3 * n);
    require("cell", structure.cell.size(), structure.cell.empty() ? 0 : 9);
    const std::int32_t pbc[3] = {structure.pbc[0], structure.pbc[1], structure.pbc[2]};
    atomcore_structure given = ATOMCORE_STRUCTURE_INIT;
    given.n_atoms = static_cast<std::int64_t>(n);
    given.positions = structure.positions.data();
    given.numbers = structure.numbers.data();
    if (!structure.cell.empty()) {
      given.cell = structure.cell.data();
      given.pbc = pbc;
    }
    run(n, results, [&](atomcore_results* arrays) { return atomcore_compute(workspace_.get(), &given, arrays); });
  }

  void compute(const Neighbors& neighbors, Results& results) {
    const std::size_t n = neighbors.types.size();
    require("positions", neighbors.positions.size(), 3 * n);
    atomcore_neighbors given = ATOMCORE_NEIGHBORS_INIT;
    given.n_atoms = static_cast<std::int64_t>(n);
    given.positions = neighbors.positions.data();
    given.types = neighbors.types.data();
    given.element_of_type = neighbors.element_of_type.data();
    given.n_types = static_cast<std::int32_t>(neighbors.element_of_type.size());
    given.n_centres = static_cast<std::int32_t>(neighbors.ilist.size());
    given.ilist = neighbors.ilist.data();
    given.numneigh = neighbors.numneigh;
    given.firstneigh = neighbors.lists;
    given.neighbor_mask = neighbors.mask;
    run(n, results,
        [&](atomcore_results* arrays) { return atomcore_compute_neighbors(workspace_.get(), &given, arrays); });
  }

 private:
  struct Free {
    void operator()(atomcore_workspace* workspace) const { atomcore_workspace_free(workspace); }
  };

  static void require(const char* name, std::size_t size, std::size_t expected) {
    if (size != expected)
      throw Error(ATOMCORE_INVALID_VALUE, std::string(name) + " has " + std::to_string(size) +
                                              " numbers; accepted: " + std::to_string(expected));
  }

  template <typename T>
  static T* array(const char* name, const span<T>& given, std::size_t size) {
    if (given.empty()) return nullptr;
    require(name, given.size(), size);
    return given.data();
  }

  template <typename Compute>
  void run(std::size_t n, Results& results, const Compute& compute) {
    atomcore_results arrays = ATOMCORE_RESULTS_INIT;
    arrays.forces = array("forces", results.forces, 3 * n);
    arrays.energies = array("energies", results.energies, n);
    arrays.virials = array("virials", results.virials, 9 * n);
    arrays.member_forces = array("member_forces", results.member_forces, 3 * n * model_.members());
    arrays.energies_spread = array("energies_spread", results.energies_spread, n);
    arrays.forces_spread = array("forces_spread", results.forces_spread, 3 * n);
    arrays.outside = array("outside", results.outside, n);
    arrays.excess = array("excess", results.excess, n);
    arrays.grade = array("grade", results.grade, n);
    check(compute(&arrays));
    results.energy = arrays.energy;
    results.energy_spread = arrays.energy_spread;
    std::copy_n(arrays.virial, 9, results.virial.begin());
  }

  Model model_;  // outlives the workspace
  std::unique_ptr<atomcore_workspace, Free> workspace_;
};

}  // namespace host
}  // namespace atomcore
