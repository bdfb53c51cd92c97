#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The table of measurements: what is measured, what of it was found, and whether that is what is to be reached. What
// was not measured stands in it as such.
namespace bench {

/// The middle one of some numbers, or the mean of the middle two; NaN of none.
inline double median(std::vector<double> values) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2.0;
}

struct Found {
  double value;                 ///< in the unit of its line
  double share = std::nan("");  ///< of its roof; NaN where it has none
};

/// What is to be reached: a share of the roof of at least so much, or a value of at most so much. 0: nothing.
struct Goal {
  double least_share = 0.0;
  double most_value = 0.0;
};

struct Line {
  std::string what;
  std::string unit;
  std::string roof;  ///< what the share is of
  Goal goal;
  std::function<Found()> measure;
};

inline constexpr std::string_view not_measured = "not measured";

/// x to `digits` significant digits, without an exponent.
inline std::string in_digits(double x, int digits) {
  if (!std::isfinite(x)) return std::string(not_measured);
  const int before = x == 0.0 ? 1 : static_cast<int>(std::floor(std::log10(std::abs(x)))) + 1;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", std::max(0, digits - before), x);
  return text;
}
inline std::string in_percent(double share) {
  return std::isfinite(share) ? in_digits(100.0 * share, 3).append(" %") : std::string(not_measured);
}

inline constexpr std::string_view table_head =
    "| what | found | share of its roof | to be reached | reached |\n|---|---|---|---|---|\n";

/// A line as Markdown. A value that is no finite number was not measured.
inline std::string row(const Line& line, const Found& found) {
  const bool by_share = line.goal.least_share > 0.0;
  const bool by_value = line.goal.most_value > 0.0;
  const double judged = by_share ? found.share : found.value;
  const bool measured = std::isfinite(found.value);
  std::ostringstream text;
  text << "| " << line.what << " | ";
  if (measured) {
    text << in_digits(found.value, 4) << ' ' << line.unit << " | ";
  } else {
    text << not_measured << " | ";
  }
  if (!line.roof.empty()) {
    if (measured && std::isfinite(found.share)) {
      text << in_percent(found.share) << " of " << line.roof;
    } else {
      text << not_measured;
    }
  }
  text << " | ";
  if (by_share) text << ">= " << in_percent(line.goal.least_share);
  if (by_value) text << "< " << in_digits(line.goal.most_value, 3) << ' ' << line.unit;
  text << " | ";
  if ((by_share || by_value) && measured && std::isfinite(judged))
    text << ((by_share ? judged >= line.goal.least_share : judged < line.goal.most_value) ? "yes" : "no");
  text << " |\n";
  return text.str();
}

/// What a line's measurement finds; nothing where it throws, and then `errors` gets the reason.
inline Found measure(const Line& line, std::ostream& errors) {
  try {
    return line.measure();
  } catch (const std::exception& error) {
    errors << line.what << ": " << error.what() << '\n';
  }
  return {std::nan("")};
}

/// Measures line after line, as long as there_is_time(), and writes each as soon as it is known. Returns the values
/// found, by line; NaN where there are none.
inline std::vector<std::pair<std::string, double>> measure(
    const std::vector<Line>& lines, std::ostream& out, std::ostream& errors,
    const std::function<bool()>& there_is_time = [] { return true; }) {
  std::vector<std::pair<std::string, double>> values;
  out << table_head << std::flush;
  for (const Line& line : lines) {
    const bool begins = there_is_time();
    if (!begins) errors << line.what << ": there is no time left\n";
    const Found found = begins ? measure(line, errors) : Found{std::nan("")};
    out << row(line, found) << std::flush;
    values.emplace_back(line.what, found.value);
  }
  return values;
}

}  // namespace bench
