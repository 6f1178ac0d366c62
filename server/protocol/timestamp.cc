#include "server/protocol/timestamp.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_format.h"

namespace ursula::protocol {
namespace {

// Takes digits and marks off the front of a text; remembers the first mistake.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return rest_.empty(); }

  int Digits(std::size_t count) {
    if (rest_.size() < count) return Fail();
    int value = 0;
    for (char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9') return Fail();
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

  bool Mark(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) return false;
    last_mark_ = rest_.front();
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(std::string_view any_of) {
    if (!Mark(any_of)) Fail();
  }
  char last_mark() const { return last_mark_; }

  // The fraction after the point: at least one digit, the first three count.
  int Milliseconds() {
    int value = 0;
    int place = 100;
    std::size_t digits = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      value += (rest_.front() - '0') * place;
      place /= 10;
      ++digits;
      rest_.remove_prefix(1);
    }
    return digits == 0 ? Fail() : value;
  }

 private:
  int Fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  char last_mark_ = 0;
  bool ok_ = true;
};

bool IsLeapYear(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

int DaysInMonth(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && IsLeapYear(year) ? 29 : kDays[month - 1];
}

// Days from 1970-01-01, proleptic Gregorian.
int64_t DaysSinceEpoch(int year, int month, int day) {
  int64_t y = month <= 2 ? year - 1 : year;
  int64_t m = month <= 2 ? month + 9 : month - 3;  // March is 0: the leap day comes last.
  int64_t before_year = y * 365 + y / 4 - y / 100 + y / 400;
  return before_year + (m * 153 + 2) / 5 + day - 1 - 719'468;
}

// Minutes east of UTC.
int64_t Zone(Scanner* scanner) {
  if (scanner->Mark("Zz")) return 0;
  scanner->Expect("+-");
  int64_t sign = scanner->last_mark() == '-' ? -1 : 1;
  int hours = scanner->Digits(2);
  scanner->Expect(":");
  int minutes = scanner->Digits(2);
  if (hours > 23 || minutes > 59) scanner->Digits(99);  // Out of range: fails.
  return sign * (hours * 60 + minutes);
}

}  // namespace

std::optional<int64_t> ParseTimestamp(std::string_view text) {
  Scanner scanner(text);
  int year = scanner.Digits(4);
  scanner.Expect("-");
  int month = scanner.Digits(2);
  scanner.Expect("-");
  int day = scanner.Digits(2);
  scanner.Expect("Tt");
  int hour = scanner.Digits(2);
  scanner.Expect(":");
  int minute = scanner.Digits(2);
  scanner.Expect(":");
  int second = scanner.Digits(2);
  int milliseconds = scanner.Mark(".") ? scanner.Milliseconds() : 0;
  int64_t zone_minutes = Zone(&scanner);
  if (!scanner.ok() || !scanner.AtEnd()) return std::nullopt;
  if (month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month)) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;  // 60: a leap second.
  int64_t minutes = (DaysSinceEpoch(year, month, day) * 24 + hour) * 60 + minute - zone_minutes;
  int64_t unix_ms = (minutes * 60 + second) * 1000 + milliseconds;
  if (unix_ms < 0) return std::nullopt;
  return unix_ms;
}

std::string FormatTimestamp(int64_t unix_ms) {
  constexpr int64_t kDayMs = 86'400'000;
  int64_t shifted = unix_ms / kDayMs + 719'468;  // Days since 0000-03-01.
  int64_t era = shifted / 146'097;
  int64_t day_of_era = shifted % 146'097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * day_of_year + 2) / 153;  // March is 0.
  int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  int64_t ms = unix_ms % kDayMs;
  return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, ms / 3'600'000,
                         ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

}  // namespace ursula::protocol
