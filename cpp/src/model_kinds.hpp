// The kinds of models in files: one reader for each. All throw Error(corrupt_file), or Error(unsupported) for names
// that this version does not know.
#pragma once

#include "src/kernel_records.hpp"
#include "src/model_file.hpp"
#include "src/model_reader.hpp"

namespace atomcore {

NetworkRecord read_networks(const Json& metadata, const TensorReader& tensors);
AtomicKernelRecord read_atomic_kernel(const Json& metadata, const TensorReader& tensors);
MolecularGdmlRecord read_gdml(const Json& metadata, const TensorReader& tensors);
ManyBodyRecord read_many_body(const Json& metadata, const TensorReader& tensors);

// Of any kind: what a whole file says, or a part of one that holds a model.
ModelRecord read_model(const Json& metadata, const TensorReader& tensors);

}  // namespace atomcore
