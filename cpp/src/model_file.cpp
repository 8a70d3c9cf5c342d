#include "src/model_file.hpp"

#include <array>
#include <utility>

#include "src/error.hpp"
#include "src/model_kinds.hpp"

namespace atomcore {
namespace {

constexpr std::int64_t kFormatMajor = 1;
// in this order in ModelRecord::content
constexpr std::array kKinds{"behler_parrinello", "atomic_kernel", "gdml", "structure_kernel", "many_body"};
// what a kind can do; where it depends, more than one
constexpr std::array kCapabilities{"local", "local", "molecular", "molecular or global", "global"};
constexpr std::array kRequirements{"symmetry_functions", "function_families", "element_networks",  "ensemble",
                                   "normalized_inputs",  "charges",           "kernel_expansion",  "gdml",
                                   "structure_kernel",   "many_body",         "layer_activations", "unknown_ranges"};

void check_version(const Json& metadata) {
  const auto version = counts_member(metadata, "format_version", kMetadata);
  if (version.size() != 2) corrupt("entry 'format_version' of the metadata is not a pair");
  if (version[0] != kFormatMajor)
    throw Error(ErrorCode::unsupported, "format version " + std::to_string(version[0]) + "." +
                                            std::to_string(version[1]) + " where this version of atomcore reads " +
                                            std::to_string(kFormatMajor) + ".x");
}

}  // namespace

std::size_t kind_of(const Json& metadata) {
  for (const std::string& name : strings_member(metadata, "requires", kMetadata))
    known_name(name, kRequirements, "requirement");
  known_name(string_member(metadata, "precision", kMetadata), std::array{"float32", "float64"}, "precision");
  const Json& units = member(metadata, "units", kMetadata);
  known_name(string_member(units, "length", "'units'"), std::array{"Angstrom"}, "length unit");
  known_name(string_member(units, "energy", "'units'"), std::array{"eV"}, "energy unit");
  const std::size_t kind = known_name(string_member(metadata, "kind", kMetadata), kKinds, "model kind");
  const std::string& capability = string_member(metadata, "capability", kMetadata);
  known_name(capability, std::array{"local", "molecular", "global"}, "capability");
  if (std::string(kCapabilities[kind]).find(capability) == std::string::npos)
    corrupt("'capability' is '" + capability + "' where a model of the kind '" + kKinds[kind] + "' is '" +
            kCapabilities[kind] + "'");
  if (kind != 0 && metadata.contains("target") && string_member(metadata, "target", kMetadata) != "energy")
    corrupt("its target is '" + string_member(metadata, "target", kMetadata) +
            "'; kernel models and expansions are of the energy");
  return kind;
}

ModelRecord read_model(const Json& metadata, const TensorReader& tensors) {
  switch (kind_of(metadata)) {
    case 0:
      return {"", read_networks(metadata, tensors)};
    case 1:
      return {"", read_atomic_kernel(metadata, tensors)};
    case 2:
      return {"", read_gdml(metadata, tensors)};
    case 3:
      return {"", read_structure_kernel(metadata, tensors)};
    default:
      return {"", read_many_body(metadata, tensors)};
  }
}

ModelRecord parse_model_file(std::vector<std::uint8_t> bytes) {
  const Safetensors file(std::move(bytes));
  const std::string& text = file.metadata();
  const Json metadata = parse_json(text.data(), text.data() + text.size(), kMetadata);
  check_version(metadata);
  ModelRecord model = read_model(metadata, TensorReader(file));
  model.metadata = text;
  return model;
}

ModelRecord read_model_file(const std::string& path) {
  try {
    return parse_model_file(read_bytes(path));
  } catch (const Error& e) {
    throw Error(e.code(), "model file '" + path + "': " + e.what());
  }
}

}  // namespace atomcore
