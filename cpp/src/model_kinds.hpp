// The kinds of models in files: one reader for each. All throw Error(corrupt_file), or Error(unsupported) for names
// that this version does not know.
#pragma once

#include "src/kernel_records.hpp"
#include "src/model_file.hpp"
#include "src/model_reader.hpp"

namespace atomcore {

NetworkRecord read_networks(const Json& metadata, const TensorReader& tensors);
AtomicKernelRecord read_atomic_kernel(const Json& metadata, const TensorReader& tensors);
StructureKernelRecord read_structure_kernel(const Json& metadata, const TensorReader& tensors);
MolecularGdmlRecord read_gdml(const Json& metadata, const TensorReader& tensors);
ManyBodyRecord read_many_body(const Json& metadata, const TensorReader& tensors);

// The position of a model's kind in ModelRecord::content. Also refuses requirements and units that are unknown.
std::size_t kind_of(const Json& metadata);
ModelRecord read_model(const Json& metadata, const TensorReader& tensors);

}  // namespace atomcore
