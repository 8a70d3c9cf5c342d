// A many-body expansion: the energy of molecules ("entities") is the sum, over sets of n of them, of what n-body models
// say of each set (Maldonado et al., Digital Discovery 2, 871 (2023)).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/gdml_model.hpp"
#include "src/tuples.hpp"

namespace atomcore {

// A kind of molecule. The atoms of each such molecule come in this order.
struct ComponentRecord {
  std::string name;
  std::vector<std::int32_t> numbers;  // [n_atoms]
  std::vector<double> masses;         // [n_atoms], for centres of mass
};

// A model of what a few molecules by themselves add to the energy of smaller sets of them.
class TupleModel {
 public:
  TupleModel() = default;
  TupleModel(const TupleModel&) = delete;
  TupleModel& operator=(const TupleModel&) = delete;
  virtual ~TupleModel() = default;
  virtual std::size_t n_atoms() const = 0;
  // Of n geometries [n, n_atoms, 3] in Angstrom: energies [n] in eV and, unless it is null, gradients [n, n_atoms, 3].
  // Bitwise the same for a geometry whatever others come with it; any number of threads may call at a time.
  virtual void evaluate(const double* positions, std::size_t n, double* energies, double* gradients) const = 0;
};

std::shared_ptr<const TupleModel> make_tuple_model(const GdmlRecord& record);

// Of as many geometries as positions [n, n_atoms, 3] hold, in parallel; gradients may be null.
void evaluate_tuples(const TupleModel& model, span<const double> positions, double* energies, double* gradients,
                     int n_threads);

struct ManyBodyTerm {
  std::vector<std::int32_t> components;  // of the n entities, in the order of the atoms of the model
  TupleCriterion criterion;
  std::shared_ptr<const TupleModel> model;
};

// The sets of entities that fulfil a criterion, with their images; entities in the order of the components.
struct TupleSet {
  std::vector<std::int64_t> entity;   // [T, n]
  std::vector<std::int32_t> shift;    // [T, n, 3]
  std::vector<double> value, factor;  // [T], of the criterion
  std::vector<double> positions;      // [T, n_atoms, 3], in one piece
};

// What an expansion answers.
struct ManyBodyValues {
  std::vector<double> terms;              // [n_terms], energies in eV
  std::vector<double> energies;           // [N], each set shares its energy evenly among its atoms
  std::vector<double> gradient;           // [N, 3], empty without derivatives
  std::array<double, 9> strain_gradient;  // dE/dstrain in eV
};

// Does not change once made.
class ManyBodyModel {
 public:
  // Throws Error(invalid_value) for a term that no set of entities fits, or whose model has another number of atoms.
  ManyBodyModel(std::vector<ComponentRecord> components, std::vector<ManyBodyTerm> terms);

  const std::vector<ComponentRecord>& components() const { return components_; }
  const std::vector<ManyBodyTerm>& terms() const { return terms_; }

  // Divides atoms into entities: the atoms of each stand together, in the order of its component. Fills ptr, atom and
  // component of Entities. Throws Error(invalid_value) that names the first atom which begins no component.
  void consecutive(span<const std::int32_t> numbers, std::vector<std::int64_t>& ptr, std::vector<std::int64_t>& atom,
                   std::vector<std::int32_t>& component) const;

  // The sets of one term, or of any other one that has these components.
  TupleSet tuples(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                  span<const std::int32_t> numbers, const Entities& entities, span<const std::int32_t> components,
                  const TupleCriterion& criterion, int n_threads) const;

  // Multiplies the energies [T] and gradients [T, n_atoms, 3] of sets at positions [T, n_atoms, 3] by the factors of a
  // criterion.
  void apply(span<const std::int32_t> components, const TupleCriterion& criterion, span<const double> positions,
             span<double> energies, span<double> gradients) const;

  // Energies and their derivatives. positions [N, 3], cell [3, 3], pbc [3], numbers [N]; scaling [n_terms, E] or empty:
  // each set of a term is multiplied by the numbers of its entities. Throws Error(invalid_value) where atoms do not fit
  // the components, Interrupted. Bitwise the same for any number of threads.
  ManyBodyValues compute(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                         span<const std::int32_t> numbers, const Entities& entities, span<const double> scaling,
                         bool derivatives, int n_threads) const;

 private:
  WholeEntities prepare(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                        span<const std::int32_t> numbers, const Entities& entities) const;
  void check(span<const std::int32_t> numbers, const Entities& entities) const;
  double reach() const;

  std::vector<ComponentRecord> components_;
  std::vector<ManyBodyTerm> terms_;
};

}  // namespace atomcore
