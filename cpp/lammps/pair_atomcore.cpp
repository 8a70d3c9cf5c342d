// LAMMPS pair style of atomcore's models. Part of atomcore-lammps, under the GNU General Public License, version 2.
#include "pair_atomcore.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"

namespace LAMMPS_NS {

namespace {

constexpr int kRow = 9;                   // numbers an atom in the widest exchange with other ranks
constexpr int kMembersAtOnce = kRow / 3;  // members of an ensemble whose forces fit into it
constexpr double kHeavier = 1.2;          // an element with fewer protons is never that much heavier

}  // namespace

PairAtomcore::PairAtomcore(LAMMPS* lmp) : Pair(lmp), info_ ATOMCORE_INFO_INIT {
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  writedata = 0;
  no_virial_fdotr_compute = 1;  // that would need forces on ghosts in atom->f, which newton off leaves out
  centroidstressflag = CENTROID_AVAIL;
  comm_reverse = comm_reverse_off = kRow;
  const char* names[kQuantities] = {"deviation", "spread", "outside", "excess", "grade"};
  for (int q = 0; q < kQuantities; q++) quantities_[q].name = names[q];
}

PairAtomcore::~PairAtomcore() {
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairAtomcore::allocate() {
  const int n = atom->ntypes + 1;
  if (!allocated) {
    memory->create(setflag, n, n, "pair:setflag");
    memory->create(cutsq, n, n, "pair:cutsq");
    allocated = 1;
  }
  for (int i = 0; i < n; i++) std::fill(setflag[i], setflag[i] + n, 0);
}

void PairAtomcore::settings(int narg, char** arg) {
  if (narg > 1 || (narg == 1 && std::strcmp(arg[0], "single") != 0)) {
    error->all(FLERR, "pair_style atomcore {}; accepted: nothing more, or single", arg[narg > 1 ? 1 : 0]);
  }
  const bool single_precision = narg == 1;
  if (single_precision != single_precision_) drop_model();  // it was read in the other precision
  single_precision_ = single_precision;
  const std::string units = update->unit_style;
  if (units == "metal") {
    unit_ = 1.0;
  } else if (units == "real") {
    unit_ = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  } else {
    error->all(FLERR, "pair_style atomcore with units {}; accepted: units metal, and units real (converted)", units);
  }
}

void PairAtomcore::coeff(int narg, char** arg) {
  if (narg < 4) {  // LAMMPS itself sees to the first two, * and *
    error->all(FLERR, "pair_coeff of atomcore is: pair_coeff * * FILE and an element, or NULL, for each atom type");
  }
  allocate();
  const std::string found = utils::get_potential_file_path(arg[2]);
  load(found.empty() ? arg[2] : found);
  map_types(narg - 3, arg + 3);
  if (comm->me == 0) say_what_was_read(arg[2]);
}

// Every rank reads the file. Where all fail all say so, so that LAMMPS can end in an orderly way.
void PairAtomcore::load(const std::string& path) {
  drop_model();
  atomcore_load_options options = ATOMCORE_LOAD_OPTIONS_INIT;
  options.single_precision = single_precision_ ? 1 : 0;
  atomcore_model* model = nullptr;
  int failed = atomcore_model_load(path.c_str(), &options, &model) == ATOMCORE_OK ? 0 : 1;
  model_.reset(model);
  int all_failed = 0;
  MPI_Allreduce(&failed, &all_failed, 1, MPI_INT, MPI_MIN, world);
  if (all_failed != 0) error->all(FLERR, "pair_coeff of atomcore: {}", atomcore_last_error());
  if (failed != 0) error->one(FLERR, "pair_coeff of atomcore: {}", atomcore_last_error());
  info_ = ATOMCORE_INFO_INIT;
  if (atomcore_model_info(model_.get(), &info_) != ATOMCORE_OK) error->all(FLERR, atomcore_last_error());
  if (std::strcmp(info_.capability, "local") != 0 || std::strcmp(info_.target, "energy") != 0) {
    error->all(FLERR,
               "pair_coeff of atomcore: {} is a {} model of {} with capability {}; accepted: models of energy with "
               "capability local, whose energy is a sum over atoms that see their neighbours",
               path, info_.kind, info_.target, info_.capability);
  }
}

void PairAtomcore::drop_model() {
  workspace_.reset();
  model_.reset();
}

std::string PairAtomcore::known_elements() const {
  std::string text;
  for (int e = 0; e < info_.n_elements; e++) text += (e == 0 ? "" : ", ") + std::string(info_.symbols[e]);
  return text;
}

void PairAtomcore::map_types(int n_names, char** names) {
  const int n_types = atom->ntypes;
  if (n_names != n_types) {
    error->all(FLERR,
               "pair_coeff of atomcore names {} elements, but there are {} atom types; accepted: one of {}, or "
               "NULL, for each type",
               n_names, n_types, known_elements());
  }
  elements_.assign(n_types + 1, -1);
  bool any = false;
  for (int type = 1; type <= n_types; type++) {
    const char* name = names[type - 1];
    if (std::strcmp(name, "NULL") == 0) continue;
    elements_[type] = atomcore_element_index(model_.get(), name);
    if (elements_[type] < 0) {
      error->all(FLERR, "pair_coeff of atomcore: atom type {} is {}, which the model does not know; accepted: {}, NULL",
                 type, name, known_elements());
    }
    any = true;
  }
  if (!any) error->all(FLERR, "pair_coeff of atomcore: all atom types are NULL; accepted: {}", known_elements());
  for (int i = 1; i <= n_types; i++) {
    for (int j = i; j <= n_types; j++) setflag[i][j] = elements_[i] >= 0 && elements_[j] >= 0 ? 1 : 0;
  }
}

void PairAtomcore::say_what_was_read(const std::string& path) const {
  const std::string members = info_.members > 1 ? fmt::format(", {} members", info_.members) : "";
  utils::logmesg(lmp, "pair_style atomcore: {} is a {} model of {}, cutoff {:g}{}{}\n", path, info_.kind,
                 known_elements(), info_.cutoff, members, single_precision_ ? ", in single precision" : "");
  if (unit_ != 1.0) {
    utils::logmesg(lmp, "pair_style atomcore: its energies in eV are converted to kcal/mol, times {:.9g}\n", unit_);
  }
}

void PairAtomcore::init_style() {
  if (!model_) error->all(FLERR, "pair_style atomcore has no model; pair_coeff * * FILE ... gives it one");
  check_masses();
  const int n_threads = std::max(1, comm->nthreads);
  if (!workspace_ || n_threads != n_threads_) {
    workspace_.reset();
    atomcore_workspace* workspace = nullptr;
    if (atomcore_workspace_create(model_.get(), n_threads, &workspace) != ATOMCORE_OK) {
      error->one(FLERR, "pair_style atomcore: {}", atomcore_last_error());
    }
    workspace_.reset(workspace);
    n_threads_ = n_threads;
  }
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

// Elements in the wrong order run without a complaint and give nonsense; masses tell.
void PairAtomcore::check_masses() const {
  if (atom->mass == nullptr) return;
  for (int i = 1; i <= atom->ntypes; i++) {
    for (int j = 1; j <= atom->ntypes; j++) {
      if (elements_[i] < 0 || elements_[j] < 0 || !atom->mass_setflag[i] || !atom->mass_setflag[j]) continue;
      if (info_.numbers[elements_[i]] >= info_.numbers[elements_[j]]) continue;
      if (atom->mass[i] <= kHeavier * atom->mass[j]) continue;
      error->all(FLERR,
                 "pair_coeff of atomcore: atom type {} is {} with mass {:g}, and type {} is {} with mass {:g}; the "
                 "elements must stand in the order of the atom types",
                 i, info_.symbols[elements_[i]], atom->mass[i], j, info_.symbols[elements_[j]], atom->mass[j]);
    }
  }
}

// LAMMPS has checked by now that the elements of both types are known.
double PairAtomcore::init_one(int, int) { return info_.cutoff; }

void PairAtomcore::setup() {
  if (comm->get_comm_cutoff() < info_.cutoff) {
    error->all(FLERR, "pair_style atomcore: the communication cutoff {:g} is below the model's cutoff {:g}",
               comm->get_comm_cutoff(), info_.cutoff);
  }
  if (neighbor->exclude && comm->me == 0) {
    error->warning(
        FLERR,
        "pair_style atomcore: pairs that neigh_modify excludes are no neighbors for the model; the energy of "
        "either atom is that without the other");
  }
}

// Bonds that were deleted may have left theirs behind.
bool PairAtomcore::has_special_neighbors() const {
  if (atom->nbonds > 0) return true;
  for (int i = 0; atom->nspecial != nullptr && i < atom->nlocal; i++) {
    if (atom->nspecial[i][2] > 0) return true;
  }
  return false;
}

// When forces are computed and not before: pair_modify special of a hybrid style holds only then.
void PairAtomcore::check_special_bonds() const {
  if (atom->molecular == Atom::ATOMIC) return;
  for (int k = 1; k < 4; k++) {
    if (force->special_lj[k] == 1.0 || !has_special_neighbors()) continue;
    error->one(FLERR,
               "pair_style atomcore: the weight of 1-{} neighbours in special_bonds lj is {:g}; accepted: 1, since the "
               "model describes bonded atoms, too (special_bonds lj/coul 1 1 1)",
               k + 1, force->special_lj[k]);
  }
}

void PairAtomcore::check_quantities() const {
  for (const Quantity& quantity : quantities_) {
    if (!quantity.missed) continue;
    error->all(FLERR,
               "pair_style atomcore: {} was read in a step for which it was not computed, since one fix pair has a 1 "
               "after the name and another one a 0; accepted: the same for all",
               quantity.name);
  }
}

void PairAtomcore::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  check_special_bonds();
  check_quantities();
  if (!workspace_) {
    error->all(FLERR, "pair_coeff of atomcore came after the last setup; accepted: a run without pre no");
  }
  const std::size_t n_atoms = static_cast<std::size_t>(atom->nlocal) + atom->nghost;
  atomcore_results results = request(n_atoms);
  if (list->inum > 0) evaluate(n_atoms, results);
  add_forces(n_atoms);
  if (eflag_global) eng_vdwl += unit_ * results.energy;
  if (eflag_atom) {
    for (int ii = 0; ii < list->inum; ii++) eatom[list->ilist[ii]] += unit_ * energies_[list->ilist[ii]];
  }
  add_virials(results, n_atoms);
  keep_quantities(n_atoms);
}

// Room for what this step needs, cleared, and where the library is to put it.
atomcore_results PairAtomcore::request(std::size_t n_atoms) {
  atomcore_results results = ATOMCORE_RESULTS_INIT;
  const auto room = [n_atoms](auto& values, std::size_t width) {
    values.assign(width * n_atoms + 1, 0);  // an address, even where a rank has no atoms
    return values.data();
  };
  results.forces = room(forces_, 3);
  if (eflag_atom) results.energies = room(energies_, 1);
  if (vflag_atom || cvflag_atom) results.virials = room(virials_, 9);
  for (Quantity& quantity : quantities_) {
    if (quantity.wanted()) room(quantity.values, 1);
  }
  if (quantities_[kDeviation].wanted()) results.member_forces = room(member_forces_, 3 * info_.members);
  if (quantities_[kSpread].wanted()) results.energies_spread = quantities_[kSpread].values.data();
  if (quantities_[kOutside].wanted()) results.outside = room(outside_, 1);
  if (quantities_[kExcess].wanted()) results.excess = quantities_[kExcess].values.data();
  if (quantities_[kGrade].wanted()) results.grade = quantities_[kGrade].values.data();
  return results;
}

void PairAtomcore::evaluate(std::size_t n_atoms, atomcore_results& results) {
  atomcore_neighbors neighbors = ATOMCORE_NEIGHBORS_INIT;
  neighbors.n_atoms = static_cast<std::int64_t>(n_atoms);
  neighbors.positions = atom->x[0];
  neighbors.types = atom->type;
  neighbors.element_of_type = elements_.data();
  neighbors.n_types = static_cast<std::int32_t>(elements_.size());
  neighbors.n_centres = list->inum;
  neighbors.ilist = list->ilist;
  neighbors.numneigh = list->numneigh;
  neighbors.firstneigh = list->firstneigh;
  neighbors.neighbor_mask = NEIGHMASK;
  if (atomcore_compute_neighbors(workspace_.get(), &neighbors, &results) != ATOMCORE_OK) {
    error->one(FLERR, "pair_style atomcore, step {}: {}", update->ntimestep, atomcore_last_error());
  }
}

// LAMMPS hands forces of ghosts to their owners itself if either of its newton flags is on, and else forgets them.
void PairAtomcore::add_forces(std::size_t n_atoms) {
  if (!force->newton) {
    sum_over_ghosts(forces_.data(), 3, 1, 0);
    n_atoms = atom->nlocal;
  }
  if (n_atoms == 0) return;
  double* f = atom->f[0];
  for (std::size_t k = 0; k < 3 * n_atoms; k++) f[k] += unit_ * forces_[k];
}

// Virials of ghosts: only if newton is on for pairs does everything in LAMMPS, pair hybrid too, care for them.
void PairAtomcore::add_virials(const atomcore_results& results, std::size_t n_atoms) {
  // xx, yy, zz, xy, xz, yz, yx, zx, zy: LAMMPS' order of elements of a matrix
  constexpr int kElement[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};
  constexpr int kTransposed[6] = {0, 4, 8, 3, 6, 7};
  const auto symmetric = [&](const double* v, int k) { return 0.5 * unit_ * (v[kElement[k]] + v[kTransposed[k]]); };
  if (vflag_global) {
    for (int k = 0; k < 6; k++) virial[k] += symmetric(results.virial, k);
  }
  if (!vflag_atom && !cvflag_atom) return;
  if (!force->newton_pair) {
    sum_over_ghosts(virials_.data(), 9, 1, 0);
    n_atoms = atom->nlocal;
  }
  for (std::size_t i = 0; i < n_atoms; i++) {
    const double* v = &virials_[9 * i];
    for (int k = 0; vflag_atom && k < 6; k++) vatom[i][k] += symmetric(v, k);
    for (int k = 0; cvflag_atom && k < 9; k++) cvatom[i][k] += unit_ * v[kElement[k]];
  }
}

void PairAtomcore::keep_quantities(std::size_t n_atoms) {
  for (Quantity& quantity : quantities_) {
    if (quantity.wanted()) quantity.step = update->ntimestep;
  }
  if (quantities_[kDeviation].wanted()) compute_deviation(n_atoms);
  if (quantities_[kSpread].wanted()) {
    for (double& spread : quantities_[kSpread].values) spread *= unit_;
  }
  if (quantities_[kOutside].wanted()) std::copy_n(outside_.data(), n_atoms, quantities_[kOutside].values.data());
}

// The length of the vector of standard deviations of the components of the force over the members.
void PairAtomcore::compute_deviation(std::size_t n_atoms) {
  const int n = info_.members;
  for (int m = 0; m < n; m += kMembersAtOnce) {
    sum_over_ghosts(&member_forces_[3 * n_atoms * m], 3, std::min(kMembersAtOnce, n - m), 3 * n_atoms);
  }
  for (int i = 0; i < atom->nlocal; i++) {
    double variance = 0.0;
    for (int c = 0; c < 3; c++) {
      double mean = 0.0, squares = 0.0;
      for (int m = 0; m < n; m++) mean += member_forces_[3 * (n_atoms * m + i) + c] / n;
      for (int m = 0; m < n; m++) {
        const double difference = member_forces_[3 * (n_atoms * m + i) + c] - mean;
        squares += difference * difference;
      }
      variance += squares / (n - 1);
    }
    quantities_[kDeviation].values[i] = unit_ * std::sqrt(variance);
  }
}

void PairAtomcore::sum_over_ghosts(double* data, int width, int n_blocks, std::size_t block) {
  exchanged_ = {data, width, n_blocks, block};
  comm->reverse_comm(this, width * n_blocks);
}

int PairAtomcore::pack_reverse_comm(int n, int first, double* buffer) {
  int m = 0;
  for (int i = first; i < first + n; i++) {
    for (int b = 0; b < exchanged_.n_blocks; b++) {
      const double* row = exchanged_.data + b * exchanged_.block + static_cast<std::size_t>(i) * exchanged_.width;
      for (int c = 0; c < exchanged_.width; c++) buffer[m++] = row[c];
    }
  }
  return m;
}

void PairAtomcore::unpack_reverse_comm(int n, int* list, double* buffer) {
  int m = 0;
  for (int i = 0; i < n; i++) {
    for (int b = 0; b < exchanged_.n_blocks; b++) {
      double* row = exchanged_.data + b * exchanged_.block + static_cast<std::size_t>(list[i]) * exchanged_.width;
      for (int c = 0; c < exchanged_.width; c++) row[c] += buffer[m++];
    }
  }
}

bool PairAtomcore::knows(int quantity) const {
  if (quantity == kDeviation) return info_.members > 1;
  if (quantity == kSpread) return info_.has_spread != 0;
  return (quantity == kGrade ? info_.has_grade : info_.has_ranges) != 0;
}

// NAME_flag: whether the number of that name is wanted in this step, for fix pair to set.
void* PairAtomcore::extract(const char* name, int& dim) {
  for (Quantity& quantity : quantities_) {
    if (name != std::string(quantity.name) + "_flag") continue;
    dim = 0;
    quantity.triggered = true;
    quantity.missed = false;
    return &quantity.flag;
  }
  return nullptr;
}

void* PairAtomcore::extract_peratom(const char* name, int& n_columns) {
  for (int q = 0; q < kQuantities; q++) {
    Quantity& quantity = quantities_[q];
    if (std::strcmp(name, quantity.name) != 0) continue;
    if (!model_) error->all(FLERR, "pair_style atomcore has no {} before pair_coeff gives it a model", name);
    if (!knows(q)) {
      error->all(
          FLERR, "pair_style atomcore: the model has no {}; {}", name,
          q == kDeviation ? "that takes an ensemble of several networks" : "its file does not have what that takes");
    }
    if (quantity.asked && update->whichflag != 0 && quantity.step != update->ntimestep) {
      quantity.missed = true;
      quantity.values.assign(atom->nlocal + 1, std::numeric_limits<double>::quiet_NaN());
    }
    if (quantity.values.empty()) quantity.values.resize(1);  // fix pair wants an address before the first step, too
    quantity.asked = true;
    n_columns = 0;
    return quantity.values.data();
  }
  return nullptr;
}

double PairAtomcore::memory_usage() {
  std::size_t n = forces_.capacity() + energies_.capacity() + virials_.capacity() + member_forces_.capacity();
  for (const Quantity& quantity : quantities_) n += quantity.values.capacity();
  return Pair::memory_usage() + static_cast<double>(n * sizeof(double) + outside_.capacity() * sizeof(std::int32_t));
}

}  // namespace LAMMPS_NS
