#include <sys/syscall.h>
#include <time.h>

#include <string_view>

#include "worker/handlers/built_in.h"
#include "worker/sys/raw.h"

namespace bulkhead::handlers {

namespace {

constexpr std::int64_t kDay = 86'400;

constexpr std::string_view kWeekdays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};

struct Date {
  std::int64_t year;
  unsigned month;  // 0 to 11
  unsigned day;    // 1 to 31
};

// The proleptic Gregorian calendar, in eras of 400 years that begin in March, so that the leap day is the last of its
// year.
Date date_of(std::int64_t days_since_1970) noexcept {
  constexpr std::int64_t kDaysOfEra = 146'097;
  const std::int64_t days = days_since_1970 + 719'468;  // since 0000-03-01
  const std::int64_t era = (days >= 0 ? days : days - kDaysOfEra + 1) / kDaysOfEra;
  const auto day_of_era = static_cast<unsigned>(days - era * kDaysOfEra);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned month_from_march = (5 * day_of_year + 2) / 153;
  const unsigned month = (month_from_march + 2) % 12;
  const std::int64_t year = static_cast<std::int64_t>(year_of_era) + era * 400 + (month < 2 ? 1 : 0);
  return {year, month, day_of_year - (153 * month_from_march + 2) / 5 + 1};
}

class Text {
 public:
  explicit Text(char* out) noexcept : out_(out) {}
  Text& words(std::string_view text) noexcept {
    for (const char c : text) out_[length_++] = c;
    return *this;
  }
  // With leading zeros up to `digits`.
  Text& number(std::int64_t value, int digits) noexcept {
    char reversed[20];
    int count = 0;
    for (; value > 0 || count < digits; value /= 10) reversed[count++] = static_cast<char>('0' + value % 10);
    while (count > 0) out_[length_++] = reversed[--count];
    return *this;
  }
  [[nodiscard]] std::size_t length() const noexcept { return length_; }

 private:
  char* out_;
  std::size_t length_ = 0;
};

}  // namespace

std::size_t daytime_text(std::int64_t unix_seconds, char* out) noexcept {
  const std::int64_t second_of_day = (unix_seconds % kDay + kDay) % kDay;
  const std::int64_t days = (unix_seconds - second_of_day) / kDay;
  const Date date = date_of(days);
  Text text(out);
  text.words(kWeekdays[((days + 4) % 7 + 7) % 7]).words(", ").words(kMonths[date.month]).words(" ");
  text.number(date.day, 1).words(", ").number(date.year, 1).words(" ");
  text.number(second_of_day / 3600, 2).words(":").number(second_of_day / 60 % 60, 2).words(":");
  return text.number(second_of_day % 60, 2).words("-UTC\r\n").length();
}

ipc::ExitCode daytime(Client& client) noexcept {
  timespec now{};
  sys::raw(SYS_clock_gettime, CLOCK_REALTIME, sys::raw_pointer(&now));
  char text[kDaytimeRoom];
  if (client.write(text, daytime_text(now.tv_sec, text))) client.finish();
  return client.how();
}

}  // namespace bulkhead::handlers
