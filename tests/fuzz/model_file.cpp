// What a program does with a model file that nobody vouches for: bytes are read as one, and what the reader accepts
// runs. All else than an Error, or results that are finite, is a finding.
#include "src/model_file.hpp"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <variant>
#include <vector>

#include "src/error.hpp"
#include "src/potential.hpp"

namespace {

using namespace atomcore;

constexpr double kLargestPeriodicCutoff = 6.0;  // Angstrom; beyond, a small cell has too many neighbours for a fuzzer
constexpr std::size_t kMostAtoms = 60;

using Numbers = std::vector<std::int32_t>;

template <typename Record>
Numbers two_of(const Record& record) {
  return {record.elements.front().number, record.elements.back().number};
}

// Atoms that the model may well be of.
struct AtomsFor {
  Numbers operator()(const NetworkRecord& record) const { return two_of(record); }
  Numbers operator()(const AtomicKernelRecord& record) const { return two_of(record); }
  Numbers operator()(const MolecularGdmlRecord& record) const { return record.numbers; }
  Numbers operator()(const StructureKernelRecord& record) const {
    if (!record.molecule.empty()) return record.molecule;
    return Numbers(record.fixed_size ? record.descriptor.n_atoms : 2, record.numbers.front());
  }
  Numbers operator()(const ManyBodyRecord& record) const {
    Numbers numbers;
    for (const ComponentRecord& component : record.components)
      numbers.insert(numbers.end(), component.numbers.begin(), component.numbers.end());
    return numbers;
  }
};

void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "a model that was accepted gives %s that are not finite\n", what);
  std::abort();
}

void check(const Values& values, const char* what) {
  require(std::isfinite(values.energy), what);
  for (const double x : values.energies) require(std::isfinite(x), what);
  for (const double x : values.gradient) require(std::isfinite(x), what);
  for (const double x : values.strain_gradient) require(std::isfinite(x), what);
}

void run(const Numbers& numbers, const Potential& potential, const std::vector<double>& cell, bool periodic) {
  if (numbers.size() > kMostAtoms) return;
  std::vector<double> positions;
  for (std::size_t i = 0; i < numbers.size(); ++i) {  // a helix: no two at one place, no three in a line
    const auto turn = static_cast<double>(i);
    positions.insert(positions.end(), {std::cos(turn), std::sin(turn), 0.7 * turn});
  }
  const std::vector<std::uint8_t> pbc(3, periodic);
  const Abilities able = potential.abilities();
  Request request;
  request.derivatives = true;
  request.spread = able.spread;
  request.extrapolation = able.ranges;
  request.grade = able.grade;
  request.atomic_virials = potential.cutoff() > 0.0;
  try {
    const Structure structure{positions, cell, pbc, numbers};
    const Evaluation result = potential.compute(structure, request, 1);
    check(result.mean, "energies or their derivatives");
    check(result.spread, "spreads");
    for (const double x : result.atomic_virials) require(std::isfinite(x), "virials of atoms");
    for (const double x : result.extrapolation.grade) require(std::isfinite(x), "grades of extrapolation");
  } catch (const Error&) {  // in words, as it should be
  }
}

void load_and_run(const ModelRecord& record, Precision precision) {
  const Potential potential(record, precision);
  const auto* const gdml = std::get_if<MolecularGdmlRecord>(&record.content);
  const std::vector<double> box{3.1, 0.0, 0.0, 0.4, 2.9, 0.0, 0.0, -0.3, 3.3};
  const Numbers numbers = std::visit(AtomsFor{}, record.content);
  run({}, potential, box, false);
  run(numbers, potential, box, false);
  if (gdml != nullptr && !gdml->gdml.lattice.empty())
    run(numbers, potential, gdml->gdml.lattice, true);
  else if (potential.cutoff() < kLargestPeriodicCutoff)
    run(numbers, potential, box, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const ModelRecord record = parse_model_file({data, data + size});
    for (const Precision precision : {Precision::float64, Precision::float32}) {
      try {
        load_and_run(record, precision);
      } catch (const Error&) {  // kernel models know one precision only
      }
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
