// What an .atomcore file says: a model as plain numbers, everything checked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "src/feature_plan.hpp"
#include "src/kernel_records.hpp"
#include "src/many_body_model.hpp"
#include "src/mlp.hpp"

namespace atomcore {

struct LayerRecord {
  std::vector<double> weight;  // [outputs, inputs]
  std::vector<double> bias;    // [outputs]
  Activation activation;
};

// E_i = reference + energy_scale * network(x), x = (G_i[columns] - mean) * scale, divided by its length where the model
// says so. An ensemble has several networks an element; its energy is their mean.
struct ElementRecord {
  std::string symbol;
  std::int32_t number;
  std::vector<std::int64_t> columns;               // ascending
  std::vector<double> mean, scale;                 // [columns]
  std::vector<double> minimum, maximum;            // [n_features], the ranges of G seen in training; empty if unknown
  std::vector<std::vector<LayerRecord>> networks;  // [members]
  double reference, energy_scale;                  // eV
  // [h + 1, h + 1], where the last hidden layer has h outputs phi: the length of its product with (phi, 1) is the grade
  // of extrapolation. Of single networks; empty where it is not known.
  std::vector<double> grade{};
};

struct NetworkRecord {
  FeatureTable features;
  FeaturePlan plan;  // of these features
  bool normalized;   // whether inputs are divided by their length
  std::size_t members;
  std::vector<ElementRecord> elements;
};

struct ModelRecord;

// A many-body expansion; the models of its terms are records of their own.
struct ManyBodyRecord {
  struct Term {
    std::vector<std::int32_t> components;
    TupleCriterion criterion;
    std::shared_ptr<const ModelRecord> model;
  };
  std::vector<ComponentRecord> components;
  std::vector<Term> terms;
};

struct ModelRecord {
  std::string metadata;  // the JSON text of the file; empty for a term of another model
  std::variant<NetworkRecord, AtomicKernelRecord, MolecularGdmlRecord, StructureKernelRecord, ManyBodyRecord> content;
};

// Throws Error(io) when the file cannot be read, Error(corrupt_file) when it is damaged or incomplete and
// Error(unsupported) when it needs a newer reader; messages name the file and the entry.
ModelRecord read_model_file(const std::string& path);

// The same of a file's content; messages name the entry alone.
ModelRecord parse_model_file(std::vector<std::uint8_t> bytes);

}  // namespace atomcore
