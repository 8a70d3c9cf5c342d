// What model files say of many-body expansions: plain numbers, everything checked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/tuples.hpp"

namespace atomcore {

struct ModelRecord;

// A kind of molecule. The atoms of each such molecule come in this order.
struct ComponentRecord {
  std::string name;
  std::vector<std::int32_t> numbers;  // [n_atoms]
  std::vector<double> masses;         // [n_atoms], for centres of mass
};

struct ManyBodyTermRecord {
  std::vector<std::int32_t> components;  // of the n molecules, in the order of the atoms of the model
  TupleCriterion criterion;
  std::shared_ptr<const ModelRecord> model;
};

struct ManyBodyRecord {
  std::vector<ComponentRecord> components;
  std::vector<ManyBodyTermRecord> terms;
};

}  // namespace atomcore
