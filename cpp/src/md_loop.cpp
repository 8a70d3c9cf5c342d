#include "src/md_loop.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>

#include "math/cell.hpp"
#include "src/error.hpp"
#include "src/random.hpp"

namespace atomcore {
namespace {

double squared_norm(const double* v) { return math::dot(v, v); }

// The largest value(atom) and its atom; the first of equal ones.
template <typename Value>
std::pair<double, std::size_t> largest(std::size_t n_atoms, const Value& value) {
  std::pair<double, std::size_t> found{value(0), 0};
  for (std::size_t i = 1; i < n_atoms; ++i)
    if (const double x = value(i); x > found.first) found = {x, i};
  return found;
}

double seconds_between(std::chrono::steady_clock::time_point begin, std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// In any size: what has blown up need not fit into an integer.
std::string whole_number(double x) {
  char text[std::numeric_limits<double>::max_exponent10 + 3];
  std::snprintf(text, sizeof text, "%.0f", x);
  return text;
}

double kinetic_energy(const std::vector<double>& momenta, const std::vector<double>& masses) {
  double sum = 0.0;
  for (std::size_t i = 0; i < masses.size(); ++i) sum += squared_norm(&momenta[3 * i]) / masses[i];
  return 0.5 * sum;
}

MdSample sample_of(const MdState& state) {
  const Evaluation& values = state.values;
  MdSample sample{state.step, values.mean.energy, state.kinetic, 0.0, 0.0, 0, -1, 0.0};
  const auto& excess = values.extrapolation.excess;
  if (!excess.empty()) {
    const auto worst = largest(excess.size(), [&](std::size_t i) { return excess[i]; });
    sample.excess = worst.first;
    sample.atom = static_cast<std::int32_t>(worst.second);
    sample.feature = values.extrapolation.feature[worst.second];
  }
  const auto& spread = values.spread.gradient;
  if (!spread.empty())
    sample.spread =
        std::sqrt(largest(spread.size() / 3, [&](std::size_t i) { return squared_norm(&spread[3 * i]); }).first);
  const auto& grade = values.extrapolation.grade;
  if (!grade.empty()) sample.grade = largest(grade.size(), [&](std::size_t i) { return grade[i]; }).first;
  return sample;
}

}  // namespace

MdLoop::MdLoop(const Potential& potential, MdSystem system, const MdConditions& conditions, MdLimits limits,
               span<const double> positions, span<const double> momenta, bool with_spread, int n_threads)
    : evaluator_(potential),
      system_(std::move(system)),
      conditions_(conditions),
      limits_(std::move(limits)),
      with_spread_(with_spread),
      with_ranges_(potential.abilities().ranges),
      with_grade_(potential.abilities().grade),
      n_threads_(n_threads),
      close_(limits_.radii),
      keep_(std::exp(-conditions.friction * conditions.dt)),
      kick_(std::sqrt(-std::expm1(-2.0 * conditions.friction * conditions.dt) * conditions.kT)) {
  next_.positions.assign(positions.begin(), positions.end());
  next_.momenta.assign(momenta.begin(), momenta.end());
  if (conditions_.thermostat) noise_.resize(positions.size());
}

void MdLoop::resume(std::int64_t step, double energy, span<const double> gradient, std::array<double, 2> start) {
  std::swap(good_, next_);
  good_.step = step;
  good_.kinetic = kinetic_energy(good_.momenta, system_.masses);
  good_.values.mean.energy = energy;
  good_.values.mean.gradient.assign(gradient.begin(), gradient.end());
  start_ = start;
  started_ = true;
  stage_ = Stage::none;
}

MdBlock MdLoop::run(std::int64_t last, std::int64_t interval, double seconds) {
  const auto begin = Clock::now();
  MdBlock block{MdOutcome::done, "", {}};
  double passed = 0.0;
  for (bool first = true; !(started_ && good_.step >= last); first = false) {
    try {
      block.outcome = attempt(interval, block.message);
    } catch (const Error&) {
      if (first) throw;
      block.outcome = MdOutcome::paused;  // what has been sampled is not lost; the next call meets the error again
    }
    if (block.outcome != MdOutcome::done) break;
    commit();
    if (good_.step % interval == 0) block.samples.push_back(sample_of(good_));
    passed = seconds_between(begin, Clock::now());
    if (passed > seconds && good_.step < last) {
      block.outcome = MdOutcome::paused;
      break;
    }
  }
  seconds_ += passed;
  return block;
}

// One step, of which `why` says what is wrong where it is refused.
MdOutcome MdLoop::attempt(std::int64_t interval, std::string& why) {
  if (stage_ == Stage::none) move();
  why = not_finite("position", next_.positions);
  if (why.empty()) why = close_.fault(next_.positions, system_, n_threads_);
  if (!why.empty()) return MdOutcome::refused;
  if (stage_ == Stage::moved) evaluate(next_.step % interval == 0);
  if (doubtful()) return MdOutcome::doubtful;
  why = fault();
  return why.empty() ? MdOutcome::done : MdOutcome::refused;
}

// To the positions of the next step and, of its momenta, all but the half kick of the forces there. The thermostat is
// BAOAB of Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34.
void MdLoop::move() {
  const std::size_t n = system_.masses.size();
  const double half = 0.5 * conditions_.dt, drift = conditions_.thermostat ? half : conditions_.dt;
  const auto& gradient = good_.values.mean.gradient;
  const auto advance = [&](const std::vector<double>& from) {
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t k = 3 * i; k < 3 * i + 3; ++k)
        next_.positions[k] = from[k] + drift * next_.momenta[k] / system_.masses[i];
  };
  next_.positions.resize(3 * n);
  next_.momenta.resize(3 * n);
  next_.step = good_.step + 1;
  for (std::size_t k = 0; k < 3 * n; ++k) next_.momenta[k] = good_.momenta[k] - half * gradient[k];
  advance(good_.positions);
  if (conditions_.thermostat) {
    add_noise();
    advance(next_.positions);
  }
  stage_ = Stage::moved;
}

void MdLoop::add_noise() {
  normal_deviates(conditions_.seed, conditions_.stream, static_cast<std::uint64_t>(next_.step), noise_);
  for (std::size_t i = 0; i < system_.masses.size(); ++i) {
    const double kick = kick_ * std::sqrt(system_.masses[i]);
    for (std::size_t k = 3 * i; k < 3 * i + 3; ++k) next_.momenta[k] = keep_ * next_.momenta[k] + kick * noise_[k];
  }
}

void MdLoop::evaluate(bool sampled) {
  constexpr double none = std::numeric_limits<double>::max();  // a limit that no number is above
  const Request request{true, with_spread_ && (sampled || limits_.spread < none),
                        with_ranges_ && (sampled || limits_.excess < none),
                        with_grade_ && (sampled || limits_.grade < none)};
  const auto begin = Clock::now();
  const Structure structure{next_.positions, {system_.cell.data(), 9}, {system_.pbc.data(), 3}, system_.numbers};
  next_.values = evaluator_.compute(structure, request, n_threads_);
  model_seconds_ += seconds_between(begin, Clock::now());
  const auto& gradient = next_.values.mean.gradient;
  if (started_)
    for (std::size_t k = 0; k < gradient.size(); ++k) next_.momenta[k] -= 0.5 * conditions_.dt * gradient[k];
  next_.kinetic = kinetic_energy(next_.momenta, system_.masses);
  stage_ = Stage::evaluated;
}

void MdLoop::commit() {
  std::swap(good_, next_);
  if (!started_) start_ = {good_.values.mean.energy + good_.kinetic, good_.kinetic};
  started_ = true;
  stage_ = Stage::none;
}

std::string MdLoop::not_finite(const char* what, const std::vector<double>& vectors) const {
  const auto finite = [](double x) { return std::isfinite(x); };
  const auto wrong = std::find_if_not(vectors.begin(), vectors.end(), finite);
  if (wrong == vectors.end()) return "";
  return std::string("the ") + what + " of " +
         atom_name(system_, static_cast<std::size_t>(wrong - vectors.begin()) / 3) + " is not finite";
}

std::string MdLoop::fault() const {
  for (const auto& text : {not_finite("force", next_.values.mean.gradient), not_finite("velocity", next_.momenta)})
    if (!text.empty()) return text;
  const double energy = next_.values.mean.energy;
  if (!std::isfinite(energy)) return "the energy is not finite";
  const auto speed = [&](std::size_t i) { return squared_norm(&next_.momenta[3 * i]) / system_.masses[i]; };
  const auto fastest = [&] {
    return atom_name(system_, largest(system_.masses.size(), speed).second) + " is the fastest";
  };
  if (next_.kinetic > limits_.kinetic) return whole_number(limits_.kelvin * next_.kinetic) + " K, " + fastest();
  if (!started_) return "";
  if (auto text = fault_of_work(); !text.empty()) return text;
  const double error = std::abs(energy + next_.kinetic - start_[0]);
  if (!(error > limits_.drift + start_[1])) return "";
  return "the total energy has changed by " + short_number(error) + " eV, " + fastest();
}

std::string MdLoop::fault_of_work() const {
  const auto &before = good_.values.mean.gradient, &after = next_.values.mean.gradient;
  double work = 0.0;
  for (std::size_t k = 0; k < before.size(); ++k)
    work -= 0.5 * (before[k] + after[k]) * (next_.positions[k] - good_.positions[k]);
  const double change = std::abs(next_.values.mean.energy - good_.values.mean.energy + work);
  if (!(change > limits_.jump)) return "";
  const auto changed = [&](std::size_t i) {
    const double d[3] = {after[3 * i] - before[3 * i], after[3 * i + 1] - before[3 * i + 1],
                         after[3 * i + 2] - before[3 * i + 2]};
    return squared_norm(d);
  };
  return "the energy has changed by " + short_number(change) +
         " eV more than the work of the forces in one step, the force on " +
         atom_name(system_, largest(before.size() / 3, changed).second) + " most";
}

bool MdLoop::doubtful() const {
  const MdSample now = sample_of(next_);
  return now.excess > limits_.excess || now.spread > limits_.spread || now.grade > limits_.grade;
}

}  // namespace atomcore
