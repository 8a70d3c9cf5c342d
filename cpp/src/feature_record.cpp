#include "src/feature_record.hpp"

#include <array>
#include <utility>

#include "src/feature_check.hpp"

namespace atomcore {
namespace {

using Symbols = std::vector<std::string>;

std::int32_t species_index(const std::string& symbol, const Symbols& elements, const std::string& where) {
  for (std::size_t s = 0; s < elements.size(); ++s)
    if (elements[s] == symbol) return static_cast<std::int32_t>(s);
  corrupt(where + " names the element '" + symbol + "', which is not among 'elements'");
}

void read_type(const Json& entry, const std::string& where, FeatureRow& row) {
  constexpr std::array types{"radial",        "narrow",         "wide",         "ani",  // in the order of FunctionType
                             "radial_cosine", "compact_narrow", "compact_wide", "compact_radial"};
  row.type = static_cast<std::int32_t>(known_name(string_member(entry, "type", where), types, "function type"));
}

void read_cutoff(const Json& entry, const std::string& where, FeatureRow& row) {
  constexpr std::array functions{// in the order of math::CutoffKind
                                 "cosine",
                                 "tanh3",
                                 "polynomial",
                                 "hard",
                                 "tanh3_normalized",
                                 "exponential",
                                 "poly1",
                                 "poly2",
                                 "poly3",
                                 "poly4",
                                 "exponential_asymmetric",
                                 "poly1_asymmetric",
                                 "poly2_asymmetric",
                                 "poly3_asymmetric",
                                 "poly4_asymmetric",
                                 "untruncated_cosine"};
  const std::string& name = string_member(entry, "cutoff_function", where);
  row.cutoff_function = static_cast<std::int32_t>(known_name(name, functions, "cutoff function"));
  row.cutoff = number_member(entry, "cutoff", where);
  if (name == "polynomial") row.gamma = number_member(entry, "gamma", where);
  if (entry.contains("inner")) row.inner = number_member(entry, "inner", where);
}

// The elements of a row, and where it is for all of them its weights behind those in `vectors`.
void read_elements(const Json& entry, const Symbols& elements, const std::string& where, FeatureRow& row,
                   std::vector<double>& vectors) {
  row.a = row.b = -1;
  const Json& given = member(entry, "elements", where);
  if (given.is_string() && given.get_ref<const std::string&>() == "all") {
    const Json& weights = member(entry, "weights", where);
    row.weights = static_cast<std::int32_t>(vectors.size() / elements.size());
    for (const std::string& symbol : elements)
      vectors.push_back(number_member(weights, symbol, "'weights' of " + where));
    return;
  }
  const auto symbols = strings_member(entry, "elements", where);
  const std::size_t n_symbols = is_radial(row) ? 1 : 2;
  if (symbols.size() != n_symbols) corrupt(where + " must name " + std::to_string(n_symbols) + " element(s)");
  row.a = species_index(symbols[0], elements, where);
  if (n_symbols == 1) return;
  row.b = species_index(symbols[1], elements, where);
  if (row.a > row.b) std::swap(row.a, row.b);
}

// The numbers that functions of the row's type have.
void read_numbers(const Json& entry, const std::string& where, FeatureRow& row) {
  const auto number = [&](const char* key) { return number_member(entry, key, where); };
  row.prefactor = number("prefactor");
  row.cos_scale = 1.0;
  switch (type_of(row)) {
    case FunctionType::radial_cosine:
      row.eta = number("kappa");
      return;
    case FunctionType::compact_radial:
      row.low = number("low");
      return;
    case FunctionType::compact_narrow:
    case FunctionType::compact_wide:
      row.low = number("low");
      row.theta_low = number("theta_low");
      row.theta_high = number("theta_high");
      return;
    default:
      break;
  }
  row.eta = number("eta");
  row.shift = number("shift");
  if (is_radial(row)) return;
  const bool ani = type_of(row) == FunctionType::ani;
  row.zeta = number("zeta");
  row.angle = number(ani ? "theta" : "lambda");
  if (ani) row.cos_scale = number("cos_scale");
}

}  // namespace

FeatureTable read_features(const Json& list, const std::vector<std::string>& elements) {
  FeatureTable table;
  for (const Json& entry : list) {
    const std::string where = "feature " + std::to_string(table.rows.size());
    FeatureRow row{};
    read_type(entry, where, row);
    read_cutoff(entry, where, row);
    read_elements(entry, elements, where, row, table.weights);
    read_numbers(entry, where, row);
    table.rows.push_back(row);
  }
  return table;
}

}  // namespace atomcore
