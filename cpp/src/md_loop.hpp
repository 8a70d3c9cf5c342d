// Molecular dynamics of one structure with an exported model, every step of which is checked.
//
// Units are ASE's: eV, Angstrom, atomic masses, and the time that follows from them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "atomcore/span.hpp"
#include "src/close_pairs.hpp"
#include "src/evaluator.hpp"

namespace atomcore {

struct MdConditions {
  double dt;
  bool thermostat;       // Langevin dynamics; otherwise velocity Verlet
  double kT;             // of the thermostat
  double friction;       // of the thermostat, one over time
  std::uint64_t seed;    // of the thermostat
  std::uint32_t stream;  // tells the noise of runs with the same seed apart
};

// What ends a run. Infinity switches a limit off.
struct MdLimits {
  std::vector<double> radii;  // [N]; two atoms are too close when closer than the sum of theirs
  double kinetic;             // kinetic energy
  double jump;                // energy that one step changes beyond the work of the forces
  double drift;               // change of the total energy since the start, beyond the kinetic energy there
  double kelvin;              // temperature in K of a kinetic energy of 1 eV, for messages
  // Of `Extrapolation`, the deviation of a force over the members of an ensemble, and the grade of extrapolation.
  // Without a limit they are computed for samples only.
  double excess, spread, grade;
};

// A step that has passed all checks, or the one that is to follow it.
struct MdState {
  std::int64_t step;
  std::vector<double> positions, momenta;  // [N, 3]
  Evaluation values;
  double kinetic;
};

// What a step leaves in the record of a run.
struct MdSample {
  std::int64_t step;
  double potential, kinetic;
  double spread;  // largest deviation of a force over the members, 0 where it is not computed
  double excess;  // of the atom that extrapolates most
  std::int32_t atom, feature;
  double grade;  // of extrapolation, the largest, or 0
};

enum class MdOutcome {
  done,      // the last step that was asked for has been taken
  paused,    // time is up
  refused,   // the step that was to follow makes no sense
  doubtful,  // the step that was to follow is beyond the limits of what the model knows
};

struct MdBlock {
  MdOutcome outcome;
  std::string message;  // why a step is refused
  std::vector<MdSample> samples;
};

// The trajectory is bitwise the same for any number of threads and however a run is cut into blocks, or ended and
// taken up again from positions, momenta, energy and forces.
class MdLoop {
 public:
  // The structure that a run starts from is its step 0, which is evaluated and checked before anything moves.
  MdLoop(const Potential& potential, MdSystem system, const MdConditions& conditions, MdLimits limits,
         span<const double> positions, span<const double> momenta, bool with_spread, int n_threads);

  // Takes up a run after `step`, for which nothing is evaluated; `start` are total and kinetic energy of step 0.
  void resume(std::int64_t step, double energy, span<const double> gradient, std::array<double, 2> start);

  // Goes on until step `last`, or for so many seconds, and samples the steps that `interval` divides. After `refused`
  // or `doubtful`, or an error of the model, the last good state stands; the next call tries the same step again.
  MdBlock run(std::int64_t last, std::int64_t interval, double seconds);

  void set_limits(double excess, double spread, double grade) {
    limits_.excess = excess, limits_.spread = spread, limits_.grade = grade;
  }
  bool started() const { return started_; }
  const MdState& state() const { return good_; }
  const MdState& candidate() const { return next_; }  // the step under way
  std::array<double, 2> start() const { return start_; }
  double seconds() const { return seconds_; }              // spent in run()
  double model_seconds() const { return model_seconds_; }  // and, of them, in the model

 private:
  using Clock = std::chrono::steady_clock;
  enum class Stage { none, moved, evaluated };
  MdOutcome attempt(std::int64_t interval, std::string& why);
  void move();
  void evaluate(bool sampled);
  void add_noise();
  void commit();
  std::string fault() const;
  std::string not_finite(const char* what, const std::vector<double>& vectors) const;
  std::string fault_of_work() const;
  bool doubtful() const;

  Evaluator evaluator_;
  MdSystem system_;
  MdConditions conditions_;
  MdLimits limits_;
  bool with_spread_, with_ranges_, with_grade_;
  int n_threads_;
  ClosePairs close_;
  MdState good_{}, next_{};
  Stage stage_ = Stage::moved;
  bool started_ = false;  // whether there is a good state
  std::array<double, 2> start_{};
  std::vector<double> noise_;
  double keep_, kick_;  // what the thermostat does to the momenta: keep * p + kick * sqrt(m) * noise
  double seconds_ = 0.0, model_seconds_ = 0.0;
};

}  // namespace atomcore
