#pragma once

#include <array>
#include <cstddef>
#include <ctime>
#include <string>
#include <string_view>

#include <weft/tokenizers/jinja/run.hpp>

namespace weft::inline v0::detail::jinja {

/// Writes dates as strftime does in the C locale, whatever the program's locale is.
class DateFormat {
 public:
  DateFormat(Run& run, const std::tm& time) : run_(run), time_(time) {}

  std::string write(std::string_view format) const {
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%' || i + 1 == format.size()) {
        out += format[i];
        continue;
      }
      const bool plain = format[i + 1] == '-' && i + 2 < format.size();  // no zeros in front
      i += plain ? 2 : 1;
      std::string part = field(format[i]);
      while (plain && part.size() > 1 && (part[0] == '0' || part[0] == ' ')) part.erase(0, 1);
      out += part;
    }
    run_.take(out.size());
    return out;
  }

 private:
  static std::string padded(int value, std::size_t width, char fill = '0') {
    std::string digits = std::to_string(value);
    if (digits.size() < width) digits.insert(0, width - digits.size(), fill);
    return digits;
  }

  std::string field(char code) const {
    static constexpr std::array<std::string_view, 7> days{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                          "Thursday", "Friday", "Saturday"};
    static constexpr std::array<std::string_view, 12> months{"January",   "February", "March",    "April",
                                                             "May",       "June",     "July",     "August",
                                                             "September", "October",  "November", "December"};
    const std::string_view day = days[static_cast<std::size_t>(time_.tm_wday) % days.size()];
    const std::string_view month = months[static_cast<std::size_t>(time_.tm_mon) % months.size()];
    const int year = time_.tm_year + 1900;
    switch (code) {
      case 'a': return std::string(day.substr(0, 3));
      case 'A': return std::string(day);
      case 'b':
      case 'h': return std::string(month.substr(0, 3));
      case 'B': return std::string(month);
      case 'c': return write("%a %b %e %H:%M:%S %Y");
      case 'C': return padded(year / 100, 2);
      case 'd': return padded(time_.tm_mday, 2);
      case 'D':
      case 'x': return write("%m/%d/%y");
      case 'e': return padded(time_.tm_mday, 2, ' ');
      case 'f': return "000000";
      case 'F': return write("%Y-%m-%d");
      case 'H': return padded(time_.tm_hour, 2);
      case 'I': return padded((time_.tm_hour + 11) % 12 + 1, 2);
      case 'j': return padded(time_.tm_yday + 1, 3);
      case 'm': return padded(time_.tm_mon + 1, 2);
      case 'M': return padded(time_.tm_min, 2);
      case 'n': return "\n";
      case 'p': return time_.tm_hour < 12 ? "AM" : "PM";
      case 'R': return write("%H:%M");
      case 'S': return padded(time_.tm_sec, 2);
      case 't': return "\t";
      case 'T':
      case 'X': return write("%H:%M:%S");
      case 'u': return std::to_string(time_.tm_wday == 0 ? 7 : time_.tm_wday);
      case 'U': return padded((time_.tm_yday + 7 - time_.tm_wday) / 7, 2);
      case 'w': return std::to_string(time_.tm_wday);
      case 'W': return padded((time_.tm_yday + 7 - (time_.tm_wday + 6) % 7) / 7, 2);
      case 'y': return padded(year % 100, 2);
      case 'Y': return std::to_string(year);
      case 'z':
      case 'Z': return "";
      case '%': return "%";
      default: run_.fail("strftime_now: the field %", code, " is not supported");
    }
  }

  Run& run_;
  std::tm time_;
};

}  // namespace weft::inline v0::detail::jinja
