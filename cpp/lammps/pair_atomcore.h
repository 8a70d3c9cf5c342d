// LAMMPS pair style of atomcore's models. Part of atomcore-lammps, under the GNU General Public License, version 2.
#ifdef PAIR_CLASS
// clang-format off
PairStyle(atomcore,PairAtomcore);
// clang-format on
#else

#ifndef LMP_PAIR_ATOMCORE_H
#define LMP_PAIR_ATOMCORE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "atomcore/atomcore.h"
#include "pair.h"

namespace LAMMPS_NS {

class PairAtomcore : public Pair {
 public:
  explicit PairAtomcore(LAMMPS* lmp);
  ~PairAtomcore() override;

  void settings(int narg, char** arg) override;
  void coeff(int narg, char** arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void setup() override;
  void compute(int eflag, int vflag) override;

  int pack_reverse_comm(int n, int first, double* buffer) override;
  void unpack_reverse_comm(int n, int* list, double* buffer) override;

  void* extract(const char* name, int& dim) override;
  void* extract_peratom(const char* name, int& n_columns) override;
  double memory_usage() override;

 private:
  // A number for each atom that `fix pair` can ask for.
  struct Quantity {
    const char* name;
    bool asked = false;      // by extract_peratom
    bool triggered = false;  // whoever asks sets the flag when he wants it; else it is computed in every step
    int flag = 0;
    bigint step = -1;     // in which it was computed
    bool missed = false;  // read in a step in which it was not, by someone who does not set the flag
    std::vector<double> values;

    bool wanted() const { return asked && (flag != 0 || !triggered); }
  };
  enum { kDeviation, kSpread, kOutside, kExcess, kGrade, kQuantities };

  struct ModelFree {
    void operator()(atomcore_model* model) const { atomcore_model_free(model); }
  };
  struct WorkspaceFree {
    void operator()(atomcore_workspace* workspace) const { atomcore_workspace_free(workspace); }
  };

  void allocate();
  void load(const std::string& path);
  void drop_model();
  void map_types(int n_names, char** names);
  void say_what_was_read(const std::string& path) const;
  std::string known_elements() const;
  void check_masses() const;
  bool has_special_neighbors() const;
  void check_special_bonds() const;
  void check_quantities() const;
  bool knows(int quantity) const;

  atomcore_results request(std::size_t n_atoms);
  void evaluate(std::size_t n_atoms, atomcore_results& results);
  void add_forces(std::size_t n_atoms);
  void add_virials(const atomcore_results& results, std::size_t n_atoms);
  void keep_quantities(std::size_t n_atoms);
  void compute_deviation(std::size_t n_atoms);
  void sum_over_ghosts(double* data, int width, int n_blocks, std::size_t block);

  bool single_precision_ = false;
  std::unique_ptr<atomcore_model, ModelFree> model_;
  std::unique_ptr<atomcore_workspace, WorkspaceFree> workspace_;  // after the model: it goes first
  int n_threads_ = 0;                                             // of the workspace
  atomcore_info info_;
  double unit_ = 1.0;                   // energy unit of LAMMPS in eV, the other way round: LAMMPS = unit * eV
  std::vector<std::int32_t> elements_;  // by type, from 1: index of the element in the model; -1 for NULL

  std::vector<double> forces_, energies_, virials_, member_forces_;  // of own and ghost atoms, eV and eV/A
  std::vector<std::int32_t> outside_;
  std::array<Quantity, kQuantities> quantities_;

  // What is being summed over ghosts: blocks of rows of `width` numbers, one row an atom.
  struct Rows {
    double* data;
    int width, n_blocks;
    std::size_t block;
  };
  Rows exchanged_{nullptr, 0, 0, 0};
};

}  // namespace LAMMPS_NS

#endif
#endif
