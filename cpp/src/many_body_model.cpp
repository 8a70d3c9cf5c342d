#include "src/many_body_model.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "math/cell.hpp"
#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/memory.hpp"
#include "src/neighbor_input.hpp"
#include "src/parallel.hpp"

namespace atomcore {
namespace {

constexpr std::size_t kChunk = 1024;  // sets that are evaluated together, and then added up in their order
constexpr std::size_t kPiece = 32;    // sets for one call of a model: it works on many geometries at a time
constexpr std::int64_t kWorthAThread = 8;

[[noreturn]] void refuse(const std::string& text) { throw Error(ErrorCode::invalid_value, text); }

class GdmlTupleModel : public TupleModel {
 public:
  explicit GdmlTupleModel(const GdmlRecord& record) : model_(record) {
    if (!record.lattice.empty())
      refuse("the model of a term was trained in a periodic cell; accepted: models of molecules by themselves");
  }
  std::size_t n_atoms() const override { return model_.n_atoms(); }
  void evaluate(const double* positions, std::size_t n, double* energies, double* gradients) const override {
    GdmlModel::Workspace work;
    model_.evaluate(positions, n, energies, gradients, nullptr, work);
  }

 private:
  GdmlModel model_;
};

// Sets of entities of some components, as their models see them.
class TupleShape {
 public:
  TupleShape(const std::vector<ComponentRecord>& components, span<const std::int32_t> wanted) : wanted_(wanted) {
    for (const std::int32_t c : wanted) {
      const ComponentRecord& component = components[static_cast<std::size_t>(c)];
      sizes_.push_back(component.numbers.size());
      masses_.insert(masses_.end(), component.masses.begin(), component.masses.end());
    }
  }

  std::size_t n() const { return sizes_.size(); }
  std::size_t n_atoms() const { return masses_.size(); }
  std::size_t size(std::size_t k) const { return sizes_[k]; }

  // Brings a set into the order of the components.
  void order(const EntityTuple& found, const Entities& entities, std::int64_t* entity, std::int32_t* shift) const {
    std::copy_n(found.entity, n(), entity);
    std::copy_n(found.shift, 3 * n(), shift);
    for (std::size_t k = 0; k < n(); ++k) {
      std::size_t place = k;
      while (entities.component[static_cast<std::size_t>(entity[place])] != wanted_[k]) ++place;
      std::rotate(entity + k, entity + place, entity + place + 1);
      std::rotate(shift + 3 * k, shift + 3 * place, shift + 3 * (place + 1));
    }
  }

  void gather(const WholeEntities& whole, const Entities& entities, const double* cell, const std::int64_t* entity,
              const std::int32_t* shift, double* positions) const {
    for (std::size_t k = 0; k < n(); ++k, shift += 3) {
      const auto move = math::translation(cell, double(shift[0]), double(shift[1]), double(shift[2]));
      const double* source = whole.positions.data() + 3 * entities.first(static_cast<std::size_t>(entity[k]));
      for (std::size_t m = 0; m < sizes_[k]; ++m, source += 3, positions += 3)
        math::store(math::load(source) + move, positions);
    }
  }

  double measure(const TupleCriterion& criterion, const double* positions) const {
    return tuple_measure(criterion.measure, positions, masses_.data(), sizes_, nullptr);
  }
  void apply(const TupleCriterion& criterion, const double* positions, double* energy, double* gradient,
             std::vector<double>& work) const {
    apply_criterion(criterion, positions, masses_.data(), sizes_, energy, gradient, work);
  }

 private:
  span<const std::int32_t> wanted_;
  std::vector<std::size_t> sizes_;
  std::vector<double> masses_;
};

// The system that sets are taken from.
struct System {
  const WholeEntities& whole;
  const Entities& entities;
  const double* cell;
};

// The sets of one term, collected until there are enough to evaluate; sums go to `values`.
class TermSum {
 public:
  TermSum(const ManyBodyTerm& term, const TupleShape& shape, const System& system, const double* scaling,
          bool derivatives, int n_threads, ManyBodyValues& values, double& energy)
      : term_(term),
        shape_(shape),
        system_(system),
        scaling_(scaling),
        derivatives_(derivatives),
        n_threads_(n_threads),
        n_(shape.n()),
        n_atoms_(shape.n_atoms()),
        values_(values),
        energy_(energy),
        entity_(kChunk * n_),
        shift_(kChunk * n_ * 3),
        positions_(kChunk * n_atoms_ * 3),
        gradients_(derivatives ? positions_.size() : 0),
        energies_(kChunk) {}

  void add(const EntityTuple& found) {
    std::int64_t* const entity = &entity_[count_ * n_];
    std::int32_t* const shift = &shift_[count_ * n_ * 3];
    double* const positions = &positions_[count_ * n_atoms_ * 3];
    shape_.order(found, system_.entities, entity, shift);
    if (scale_of(entity) == 0.0) return;
    shape_.gather(system_.whole, system_.entities, system_.cell, entity, shift, positions);
    if (!counts(term_.criterion, shape_.measure(term_.criterion, positions))) return;
    if (++count_ == kChunk) flush();
  }

  void flush() {
    const std::size_t stride = 3 * n_atoms_;
    double* const gradients = derivatives_ ? gradients_.data() : nullptr;
    try {
      evaluate_tuples(*term_.model, {positions_.data(), count_ * stride}, energies_.data(), gradients, n_threads_);
    } catch (const Error&) {
      for (std::size_t t = 0; t < count_; ++t) evaluate_named(t);
      throw;
    }
    for (std::size_t t = 0; t < count_; ++t) {
      shape_.apply(term_.criterion, &positions_[t * stride], &energies_[t],
                   derivatives_ ? &gradients_[t * stride] : nullptr, work_);
      scatter(t);
    }
    count_ = 0;
  }

 private:
  double scale_of(const std::int64_t* entity) const {
    double scale = 1.0;
    for (std::size_t k = 0; k < n_ && scaling_ != nullptr; ++k) scale *= scaling_[entity[k]];
    return scale;
  }

  // For an error that says which set it is about.
  void evaluate_named(std::size_t t) {
    try {
      const std::size_t at = t * 3 * n_atoms_;
      term_.model->evaluate(&positions_[at], 1, &energies_[t], derivatives_ ? &gradients_[at] : nullptr);
    } catch (const Error& e) {
      std::string names;
      for (std::size_t k = 0; k < n_; ++k) names += (k ? ", " : "") + std::to_string(entity_[t * n_ + k]);
      throw Error(e.code(), "the set of the entities " + names + ", atoms counted in it: " + e.what());
    }
  }

  void scatter(std::size_t t) {
    const Entities& entities = system_.entities;
    const std::int64_t* const entity = &entity_[t * n_];
    const double scale = scale_of(entity), energy = scale * energies_[t];
    energy_ += energy;
    std::size_t a = t * n_atoms_;
    for (std::size_t k = 0; k < n_; ++k) {
      const std::int64_t* atom = entities.atom.data() + entities.ptr[static_cast<std::size_t>(entity[k])];
      for (std::size_t m = 0; m < shape_.size(k); ++m, ++a, ++atom) {
        values_.energies[static_cast<std::size_t>(*atom)] += energy / static_cast<double>(n_atoms_);
        if (derivatives_) scatter_gradient(a, static_cast<std::size_t>(*atom), scale);
      }
    }
  }

  void scatter_gradient(std::size_t a, std::size_t atom, double scale) {
    const auto g = scale * math::load(&gradients_[3 * a]);
    const auto add = [&g](double factor, double* sum) { math::store(math::load(sum) + factor * g, sum); };
    add(1.0, &values_.gradient[3 * atom]);
    for (std::size_t x = 0; x < 3; ++x) add(positions_[3 * a + x], &values_.strain_gradient[3 * x]);
  }

  const ManyBodyTerm& term_;
  const TupleShape& shape_;
  const System& system_;
  const double* const scaling_;
  const bool derivatives_;
  const int n_threads_;
  const std::size_t n_, n_atoms_;
  ManyBodyValues& values_;
  double& energy_;
  std::size_t count_ = 0;
  std::vector<std::int64_t> entity_;
  std::vector<std::int32_t> shift_;
  std::vector<double> positions_, gradients_, energies_, work_;
};

double reach_of(span<const std::int32_t> components, const TupleCriterion& criterion) {
  if (components.size() == 1) return 1.0;  // no distance matters
  return criterion.measure == TupleMeasure::none ? std::numeric_limits<double>::infinity() : criterion.cutoff;
}

// Refuses to double a list of sets that would not fit then: how many there are nobody knows beforehand.
void check_growth(std::size_t count, const TupleShape& shape) {
  constexpr std::size_t kFew = std::size_t{1} << 16;
  if (count < kFew || (count & (count - 1)) != 0) return;
  // Positions, those that they are copied to, and gradients; entities with shifts; values, factors and energies.
  const double set = 72.0 * static_cast<double>(shape.n_atoms()) + 20.0 * static_cast<double>(shape.n()) + 24.0;
  const double bytes = 2.0 * static_cast<double>(count) * set, memory = usable_memory();
  if (bytes <= memory) return;
  throw Error(ErrorCode::out_of_memory,
              "more than " + std::to_string(count) + " sets of entities were found; twice as many (" +
                  std::to_string(bytes * 1e-9) + " GB) do not fit into " + std::to_string(memory * 1e-9) +
                  " GB of memory; accepted: a smaller cutoff, or the sum over sets alone (compute)");
}

// A search for sets within a distance of centres; refuses pairs that memory cannot hold.
TupleSearch make_search(const WholeEntities& whole, const Entities& entities, const double* cell,
                        const std::uint8_t* pbc, double reach, int n_threads) {
  const double cutoff = search_radius(whole, pbc, reach);
  const std::int64_t structure_ptr[] = {0, static_cast<std::int64_t>(entities.size())};
  constexpr double kEdge = 24.0;  // bytes of the vector of a pair
  check_neighbor_input(whole.centres, {cell, 9}, {pbc, 3}, {structure_ptr, 2}, cutoff, kBytesPerPair + kEdge);
  return TupleSearch(whole, entities, cell, pbc, cutoff, n_threads);
}

}  // namespace

std::shared_ptr<const TupleModel> make_tuple_model(const GdmlRecord& record) {
  return std::make_shared<const GdmlTupleModel>(record);
}

void evaluate_tuples(const TupleModel& model, span<const double> positions, double* energies, double* gradients,
                     int n_threads) {
  const std::size_t stride = 3 * model.n_atoms(), count = positions.size() / stride;
  check_size("positions", positions.size(), stride * count);
  Interruptible user;
  parallel_for(static_cast<std::int64_t>(count), n_threads, kWorthAThread, [&](std::int64_t begin, std::int64_t end) {
    const auto last = static_cast<std::size_t>(end);
    for (auto t = static_cast<std::size_t>(begin); t < last; t += kPiece) {
      user.check();
      model.evaluate(&positions[t * stride], std::min(kPiece, last - t), energies + t,
                     gradients == nullptr ? nullptr : gradients + t * stride);
    }
  });
}

ManyBodyModel::ManyBodyModel(std::vector<ComponentRecord> components, std::vector<ManyBodyTerm> terms)
    : components_(std::move(components)), terms_(std::move(terms)) {
  for (std::size_t t = 0; t < terms_.size(); ++t) {
    std::size_t n_atoms = 0;
    for (const std::int32_t c : terms_[t].components) {
      if (c < 0 || static_cast<std::size_t>(c) >= components_.size())
        refuse("term " + std::to_string(t) + " names component " + std::to_string(c) + "; there are " +
               std::to_string(components_.size()));
      n_atoms += components_[static_cast<std::size_t>(c)].numbers.size();
    }
    if (terms_[t].components.empty()) refuse("term " + std::to_string(t) + " has no components");
    if (n_atoms != terms_[t].model->n_atoms())
      refuse("the components of term " + std::to_string(t) + " have " + std::to_string(n_atoms) +
             " atoms, its model has " + std::to_string(terms_[t].model->n_atoms()));
  }
}

void ManyBodyModel::consecutive(span<const std::int32_t> numbers, std::vector<std::int64_t>& ptr,
                                std::vector<std::int64_t>& atom, std::vector<std::int32_t>& component) const {
  const std::size_t n = numbers.size(), none = components_.size();
  // Backwards: which component begins at each atom so that the atoms behind it can be divided as well.
  std::vector<std::size_t> choice(n + 1, none), farthest(n + 1);
  for (std::size_t a = n + 1; a-- > 0;) {
    farthest[a] = a;
    for (std::size_t c = 0; c < none && a < n; ++c) {
      const std::vector<std::int32_t>& wanted = components_[c].numbers;
      if (wanted.size() > n - a || !std::equal(wanted.begin(), wanted.end(), numbers.begin() + a)) continue;
      const std::size_t next = a + wanted.size();
      farthest[a] = std::max(farthest[a], farthest[next]);
      if (next < n && choice[next] == none) continue;
      if (choice[a] != none && components_[choice[a]].numbers.size() >= wanted.size()) continue;
      choice[a] = c;
    }
  }
  if (n > 0 && choice[0] == none)
    refuse(
        "atom " + std::to_string(farthest[0]) + " (atomic number " +
        (farthest[0] < n ? std::to_string(numbers[farthest[0]]) : "none") +
        ") begins no molecule that the model knows; the atoms of a molecule must stand together, in the order of its "
        "component");
  ptr.assign(1, 0);
  atom.resize(n);
  component.clear();
  for (std::size_t a = 0; a < n; ++a) atom[a] = static_cast<std::int64_t>(a);
  for (std::size_t a = 0; a < n; a += components_[choice[a]].numbers.size()) {
    component.push_back(static_cast<std::int32_t>(choice[a]));
    ptr.push_back(static_cast<std::int64_t>(a + components_[choice[a]].numbers.size()));
  }
}

void ManyBodyModel::check(span<const std::int32_t> numbers, const Entities& entities) const {
  for (std::size_t e = 0; e < entities.size(); ++e) {
    const auto c = static_cast<std::size_t>(entities.component[e]);
    if (entities.component[e] < 0 || c >= components_.size())
      refuse("entity " + std::to_string(e) + " is of component " + std::to_string(entities.component[e]) +
             "; the model has " + std::to_string(components_.size()));
    const ComponentRecord& component = components_[c];
    const std::string name = "entity " + std::to_string(e) + " (" + component.name + ")";
    if (entities.n_atoms(e) != component.numbers.size())
      refuse(name + " has " + std::to_string(entities.n_atoms(e)) + " atoms; its component has " +
             std::to_string(component.numbers.size()));
    for (std::size_t m = 0; m < component.numbers.size(); ++m) {
      const auto a = static_cast<std::size_t>(entities.atom[entities.first(e) + m]);
      if (numbers[a] != component.numbers[m])
        refuse(name + " has atomic number " + std::to_string(numbers[a]) + " at atom " + std::to_string(a) +
               "; its component has " + std::to_string(component.numbers[m]) + " at place " + std::to_string(m));
    }
  }
}

// The largest distance of centres that any term asks for.
double ManyBodyModel::reach() const {
  double most = 1.0;
  for (const ManyBodyTerm& term : terms_) most = std::max(most, reach_of(term.components, term.criterion));
  return most;
}

WholeEntities ManyBodyModel::prepare(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                                     span<const std::int32_t> numbers, const Entities& entities) const {
  const std::int64_t structure_ptr[] = {0, static_cast<std::int64_t>(numbers.size())};
  check_neighbor_input(positions, {cell, 9}, {pbc, 3}, {structure_ptr, 2}, 1.0);
  check(numbers, entities);
  std::vector<double> masses;
  masses.reserve(numbers.size());
  for (const std::int32_t c : entities.component) {
    const std::vector<double>& mine = components_[static_cast<std::size_t>(c)].masses;
    masses.insert(masses.end(), mine.begin(), mine.end());
  }
  return make_whole(positions, cell, pbc, entities, masses);
}

TupleSet ManyBodyModel::tuples(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                               span<const std::int32_t> numbers, const Entities& entities,
                               span<const std::int32_t> components, const TupleCriterion& criterion,
                               int n_threads) const {
  const WholeEntities whole = prepare(positions, cell, pbc, numbers, entities);
  const TupleShape shape(components_, components);
  const TupleSearch search = make_search(whole, entities, cell, pbc, reach_of(components, criterion), n_threads);
  TupleSet set;
  std::vector<std::int64_t> entity(shape.n());
  std::vector<std::int32_t> shift(3 * shape.n());
  std::vector<double> geometry(3 * shape.n_atoms());
  const auto append = [](auto& all, const auto& more) { all.insert(all.end(), more.begin(), more.end()); };
  search.find(components, criterion, [&](const EntityTuple& found) {
    shape.order(found, entities, entity.data(), shift.data());
    shape.gather(whole, entities, cell, entity.data(), shift.data(), geometry.data());
    const double value = shape.measure(criterion, geometry.data());
    if (!counts(criterion, value)) return;
    check_growth(set.value.size(), shape);
    append(set.entity, entity);
    append(set.shift, shift);
    append(set.positions, geometry);
    set.value.push_back(value);
    set.factor.push_back(tuple_factor(criterion, value).f);
  });
  return set;
}

void ManyBodyModel::apply(span<const std::int32_t> components, const TupleCriterion& criterion,
                          span<const double> positions, span<double> energies, span<double> gradients) const {
  const TupleShape shape(components_, components);
  const std::size_t stride = 3 * shape.n_atoms();
  check_size("positions", positions.size(), stride * energies.size());
  check_size("gradients", gradients.size(), positions.size());
  std::vector<double> work;
  for (std::size_t t = 0; t < energies.size(); ++t)
    shape.apply(criterion, &positions[t * stride], &energies[t], &gradients[t * stride], work);
}

ManyBodyValues ManyBodyModel::compute(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                                      span<const std::int32_t> numbers, const Entities& entities,
                                      span<const double> scaling, bool derivatives, int n_threads) const {
  const WholeEntities whole = prepare(positions, cell, pbc, numbers, entities);
  const TupleSearch search = make_search(whole, entities, cell, pbc, reach(), n_threads);
  const System system{whole, entities, cell};
  const std::size_t n = numbers.size(), n_terms = terms_.size();
  if (!scaling.empty()) check_size("scaling", scaling.size(), n_terms * entities.size());
  ManyBodyValues values{
      std::vector<double>(n_terms), std::vector<double>(n), std::vector<double>(derivatives ? 3 * n : 0), {}};
  for (std::size_t t = 0; t < n_terms; ++t) {
    const ManyBodyTerm& term = terms_[t];
    const TupleShape shape(components_, term.components);
    const double* const scale = scaling.empty() ? nullptr : scaling.data() + t * entities.size();
    TermSum sum(term, shape, system, scale, derivatives, n_threads, values, values.terms[t]);
    search.find(term.components, term.criterion, [&](const EntityTuple& found) { sum.add(found); });
    sum.flush();
  }
  return values;
}

}  // namespace atomcore
