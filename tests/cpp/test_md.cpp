// Random numbers of the thermostat, and the loop of molecular dynamics: the same bits however a run is cut.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "src/md_loop.hpp"
#include "src/random.hpp"

using namespace atomcore;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSpacing = 1.65;  // Angstrom, of a simple cubic lattice in the well of the model

// The known answers of Random123, the authors' library.
void known_answers() {
  using Words = std::array<std::uint32_t, 4>;
  constexpr std::uint32_t ones = 0xffffffff;
  check(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, "philox of zeros");
  check(philox({ones, ones, ones, ones}, {ones, ones}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        "philox of ones");
  check(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
            Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        "philox of the digits of pi");
}

std::vector<double> deviates(std::size_t n, std::uint64_t seed, std::uint32_t stream, std::uint64_t step) {
  std::vector<double> out(n);
  normal_deviates(seed, stream, step, out);
  return out;
}

double moment(const std::vector<double>& x, int power) {
  double sum = 0.0;
  for (const double value : x) sum += std::pow(value, power);
  return sum / static_cast<double>(x.size());
}

void normal_distribution() {
  const std::size_t n = 400000;
  const auto x = deviates(n, 7, 1, 3);
  const double error = 1.0 / std::sqrt(static_cast<double>(n));
  check(std::abs(moment(x, 1)) < 4 * error, "mean 0");
  check(std::abs(moment(x, 2) - 1) < 4 * std::sqrt(2.0) * error, "variance 1");
  check(std::abs(moment(x, 3)) < 4 * std::sqrt(15.0) * error, "no skew");
  check(std::abs(moment(x, 4) - 3) < 4 * std::sqrt(96.0) * error, "fourth moment 3");
  const auto beyond = std::count_if(x.begin(), x.end(), [](double value) { return std::abs(value) > 3; });
  check(std::abs(static_cast<double>(beyond) - 0.0026998 * static_cast<double>(n)) < 4 * std::sqrt(0.0027 * double(n)),
        "tails of a normal distribution");
  double lagged = 0.0;
  for (std::size_t k = 1; k < n; ++k) lagged += x[k] * x[k - 1];
  check(std::abs(lagged / static_cast<double>(n)) < 4 * error, "neighbours are not correlated");

  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{192}}) {
    const auto few = deviates(size, 7, 1, 3);
    check(std::equal(few.begin(), few.end(), x.begin()), "a deviate does not depend on how many there are");
  }
  const std::vector<std::array<std::uint64_t, 3>> places = {
      {8, 1, 3}, {7, 2, 3}, {7, 1, 4}, {7 + (1ull << 32), 1, 3}, {7, 1, 3 + (1ull << 32)}};
  for (const auto& [seed, stream, step] : places) {
    const auto other = deviates(8, seed, static_cast<std::uint32_t>(stream), step);
    check(!std::equal(other.begin(), other.end(), x.begin()), "seed, stream and step count, all their bits");
  }
}

// One element, E_i = sum of two Gaussians of the distances: a core and a well. silu(x) is x for large x.
ModelRecord model() {
  std::vector<FeatureRow> rows;
  rows.push_back({static_cast<std::int32_t>(FunctionType::radial), 0, -1, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 4.5});
  rows.push_back({static_cast<std::int32_t>(FunctionType::radial), 0, -1, 1.0, 2.0, 2.4, 0.0, 0.0, 1.0, 4.5});
  ElementRecord carbon{};
  carbon.symbol = "C";
  carbon.number = 6;
  carbon.columns = {0, 1};
  carbon.mean = {0.0, 0.0};
  carbon.scale = {1.0, 1.0};
  carbon.minimum = {0.0, 0.0};
  carbon.maximum = {1e3, 1e3};
  carbon.networks = {{{{10.0, -0.2}, {60.0}, Activation::silu}, {{1.0}, {-60.0}, Activation::identity}}};
  carbon.energy_scale = 1.0;
  return {"{}", NetworkRecord{{rows, {}}, compile_features(rows, 1), false, 1, {carbon}}};
}

// 27 atoms of a periodic lattice, shaken.
struct Start {
  MdSystem system;
  std::vector<double> positions, momenta;
};

Start lattice() {
  Start start;
  start.system.cell = {3 * kSpacing, 0, 0, 0, 3 * kSpacing, 0, 0, 0, 3 * kSpacing};
  start.system.pbc = {1, 1, 1};
  for (int i = 0; i < 27; ++i) {
    start.system.numbers.push_back(6);
    start.system.masses.push_back(12.0 + i % 2);
    for (const int x : {i / 9, i / 3 % 3, i % 3}) start.positions.push_back(kSpacing * x);
  }
  const auto shake = deviates(start.positions.size(), 1, 0, 0);
  for (std::size_t k = 0; k < shake.size(); ++k) start.positions[k] += 0.05 * shake[k];
  start.momenta = deviates(start.positions.size(), 2, 0, 0);
  return start;
}

MdLoop loop_of(const Potential& potential, const Start& start, bool thermostat, int n_threads) {
  const std::size_t n = start.system.numbers.size();
  const MdConditions conditions{0.05, thermostat, 0.03, 0.1, 5, 1};
  const MdLimits limits{std::vector<double>(n, 0.3), 100.0, 1.0, kInfinity, 1.0, kInfinity, kInfinity, kInfinity};
  return MdLoop(potential, start.system, conditions, limits, start.positions, start.momenta, false, n_threads);
}

bool same(const MdState& a, const MdState& b) {
  return a.step == b.step && a.positions == b.positions && a.momenta == b.momenta &&
         a.values.mean.energy == b.values.mean.energy && a.kinetic == b.kinetic;
}

void cuts(bool thermostat) {
  const std::string what = thermostat ? "Langevin: " : "velocity Verlet: ";
  const Potential potential(model(), Precision::float64);
  const Start start = lattice();
  MdLoop whole = loop_of(potential, start, thermostat, 1);
  const MdBlock block = whole.run(60, 7, kInfinity);
  check(block.outcome == MdOutcome::done && whole.state().step == 60, what + "reaches the last step " + block.message);
  check(block.samples.size() == 9 && block.samples.back().step == 56, what + "samples every seventh step");
  check(whole.seconds() > whole.model_seconds() && whole.model_seconds() > 0.0, what + "takes time");

  MdLoop pieces = loop_of(potential, start, thermostat, 3);
  std::size_t samples = 0;
  while (!pieces.started() || pieces.state().step < 60) {
    const MdBlock piece = pieces.run(60, 7, 0.0);  // one step each
    samples += piece.samples.size();
    check(piece.outcome == (pieces.state().step < 60 ? MdOutcome::paused : MdOutcome::done), what + "pauses");
  }
  check(samples == 9 && same(whole.state(), pieces.state()), what + "steps one by one, with threads, are the same");

  MdLoop first = loop_of(potential, start, thermostat, 1);
  first.run(23, 1, kInfinity);
  const MdState& middle = first.state();
  MdLoop second = loop_of(potential, {start.system, middle.positions, middle.momenta}, thermostat, 2);
  second.resume(middle.step, middle.values.mean.energy, middle.values.mean.gradient, first.start());
  second.run(60, 1, kInfinity);
  check(same(whole.state(), second.state()), what + "a run that is taken up again is the same");
  check(second.start() == whole.start(), what + "and remembers its start");
}

void refusals() {
  const Potential potential(model(), Precision::float64);
  Start start = lattice();
  start.positions[3 * 5] = start.positions[3 * 8] + 3 * kSpacing;  // on top of an image
  for (int x = 1; x < 3; ++x) start.positions[3 * 5 + x] = start.positions[3 * 8 + x] + (x == 1 ? 0.4 : 0.0);
  MdLoop overlapping = loop_of(potential, start, false, 1);
  MdBlock block = overlapping.run(10, 1, kInfinity);
  check(block.outcome == MdOutcome::refused && !overlapping.started(), "overlapping atoms are refused");
  check(block.message == "atom 5 (C) and atom 8 (C) are 0.4 A apart", block.message);

  start = lattice();
  start.momenta[3 * 4 + 1] = 1e3;
  block = loop_of(potential, start, false, 1).run(10, 1, kInfinity);
  check(block.outcome == MdOutcome::refused && block.message.find("atom 4 (C) is the fastest") != std::string::npos,
        block.message);

  start = lattice();
  start.momenta[3 * 4 + 1] = std::numeric_limits<double>::quiet_NaN();
  MdLoop lost = loop_of(potential, start, false, 1);
  block = lost.run(10, 1, kInfinity);
  check(block.outcome == MdOutcome::refused && block.message == "the velocity of atom 4 (C) is not finite",
        block.message);
  check(lost.run(10, 1, kInfinity).message == block.message, "a refused step is refused again");
}

}  // namespace

int main() {
  known_answers();
  normal_distribution();
  for (const bool thermostat : {false, true}) cuts(thermostat);
  refusals();
  return report();
}
