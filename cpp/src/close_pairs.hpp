// Which two atoms of a moving structure have come too close.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace atomcore {

struct MdSystem {
  std::vector<std::int32_t> numbers;  // [N]
  std::vector<double> masses;         // [N]
  std::array<double, 9> cell;         // lattice vectors as rows
  std::array<std::uint8_t, 3> pbc;
};

// "atom 3 (O)"
std::string atom_name(const MdSystem& system, std::size_t atom);
// Three digits of a number.
std::string short_number(double x);

// Keeps the pairs that may come too close before any atom has moved by half of a skin. They are bonds, mostly: looking
// at them takes no time beside the model. The cell stands still, so that this needs none of what VerletList does.
class ClosePairs {
 public:
  explicit ClosePairs(std::vector<double> radii);  // [N]; two atoms are closer than the sum of theirs: too close

  // Says which two atoms are too close, the worst of them, or nothing.
  std::string fault(const std::vector<double>& positions, const MdSystem& system, int n_threads);

 private:
  struct Pair {
    std::size_t i, j;
    std::array<double, 3> shift;
  };
  bool moved(const std::vector<double>& positions) const;
  void search(const std::vector<double>& positions, const MdSystem& system, int n_threads);

  std::vector<double> radii_;
  double cutoff_;
  std::vector<double> reference_;  // positions at the last search
  std::vector<Pair> pairs_;
};

}  // namespace atomcore
