// The fused evaluation: features, energies and their derivatives for some atoms of a structure, block by block. Nothing
// is kept that grows with the number of atoms or pairs.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/evaluation.hpp"
#include "src/interrupt.hpp"
#include "src/model_parts.hpp"
#include "src/surroundings.hpp"

namespace atomcore {

// Where results go. Energies and extrapolation are written; all else is added to.
struct StreamOutput {
  double* energies;              // [members, N]
  Extrapolation* extrapolation;  // or null
  std::size_t n_gradients;       // 1 for the mean over the members, 1 + members for each of them behind it; or 0
  double* gradients;             // [n_gradients, N, 3]
  double* strain_gradients;      // [n_gradients, S, 9]
  double* atomic_virials;        // [N, 9], of the mean; or null
};

// One thread's.
template <typename Head>
class CentreStream {
 public:
  using T = typename Head::Scalar;
  explicit CentreStream(const ModelPart<Head>& part);

  // The centres [begin, end). Bitwise the same however the atoms of one structure stand among those of others.
  void run(const Surroundings& near, std::size_t begin, std::size_t end, Interruptible& user, const StreamOutput& out);

 private:
  static constexpr std::size_t kBlock = Head::kBatch;
  void block(const Surroundings& near, span<const std::size_t> atoms, const StreamOutput& out);
  void gather(const Surroundings& near, std::size_t atom);
  void compute_features(std::size_t element, std::size_t row, bool all);
  void grade(std::size_t element, span<const std::size_t> atoms, Extrapolation& result);
  void add_gradients(const Surroundings& near, std::size_t element, std::size_t atom, std::size_t row,
                     const StreamOutput& out);

  const ModelPart<Head>& part_;
  std::vector<std::unique_ptr<cpu::FeatureRows<T>>> read_, unread_;  // [elements], null where the part has no plan
  typename Head::Workspace work_;
  std::vector<std::size_t> order_;
  // The neighbours of the atoms of a block: those of row r at first_[r] .. first_[r+1].
  std::vector<std::size_t> first_;
  std::vector<T> D_;
  std::vector<std::int32_t> species_;
  std::vector<std::size_t> neighbor_;
  std::vector<T> G_, g_, g_D_, others_;
  std::vector<double> energies_, grades_;
};

}  // namespace atomcore
